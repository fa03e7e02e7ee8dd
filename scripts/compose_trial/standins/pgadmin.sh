set -euo pipefail
export PGADMIN_SETUP_EMAIL=$PGADMIN_DEFAULT_EMAIL PGADMIN_SETUP_PASSWORD=$PGADMIN_DEFAULT_PASSWORD HOME=/tmp
export CONFIG_DISTRO_FILE_PATH=/tmp/config.py
printf 'SERVER_MODE = True\nDATA_DIR = "/var/lib/pgadmin"\nLOG_FILE = "/tmp/pgadmin.log"\n' > "$CONFIG_DISTRO_FILE_PATH"
cd /tmp # for Python looks into the folder it is in, and /pgadmin4 is there
cd "$(python3 -c 'import importlib.util as u; print(u.find_spec("pgadmin4").submodule_search_locations[0])')"
python3 setup.py setup-db
python3 setup.py load-servers /pgadmin4/servers.json --user "$PGADMIN_SETUP_EMAIL" --replace
exec python3 -m gunicorn --bind "0.0.0.0:$PGADMIN_LISTEN_PORT" --workers 1 --threads 8 pgAdmin4:app
