#!/bin/bash
if [ "$1" = healthcheck ]; then
  exec python3 -c 'import urllib.request; urllib.request.urlopen("http://127.0.0.1:9000/healthz", timeout=5)'
fi
export AWS_ACCESS_KEY_ID=$MINIO_ROOT_USER AWS_SECRET_ACCESS_KEY=$MINIO_ROOT_PASSWORD
exec weed server -dir=/data -ip=127.0.0.1 -ip.bind=0.0.0.0 -s3 -s3.port=9000 -s3.port.iceberg=0 -s3.port.lance=0
