{{- define "helixnet.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "helixnet.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "helixnet.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "helixnet.release" -}}
app.kubernetes.io/name: {{ include "helixnet.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The labels that select a part's pods; (list $ "web") or (list $ "worker" "default"). */}}
{{- define "helixnet.selector" -}}
{{- $root := index . 0 -}}
{{ include "helixnet.release" $root }}
app.kubernetes.io/component: {{ index . 1 }}
{{- if gt (len .) 2 }}
helixnet/pool: {{ index . 2 }}
{{- end }}
{{- end -}}

{{/* All labels of a part; the same list. */}}
{{- define "helixnet.labels" -}}
{{- $root := index . 0 -}}
{{ include "helixnet.selector" . }}
app.kubernetes.io/version: {{ $root.Values.image.tag | default $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "helixnet.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- if .Values.image.digest -}}
{{- printf "%s:%s@%s" .Values.image.repository $tag .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- end -}}
{{- end -}}

{{- define "helixnet.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "helixnet.fullname" .) -}}
{{- end -}}

{{/* A variable from a Secret: (list "HELIX_DATABASE_URL" "secret" "key"). */}}
{{- define "helixnet.secret" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 | quote }}
      key: {{ index . 2 | quote }}
{{- end -}}

{{- define "helixnet.databaseEnv" -}}
{{ include "helixnet.secret" (list "HELIX_DATABASE_URL" (required "database.existingSecret is needed: the Secret with PostgreSQL's address" .Values.database.existingSecret) .Values.database.key) }}
{{- end -}}

{{/* What every process needs; further settings win over none of these. */}}
{{- define "helixnet.env" -}}
- name: HOME
  value: /tmp
- name: HELIX_HOME
  value: /tmp/helixnet
- name: HELIX_PROFILE
  value: production
{{ include "helixnet.databaseEnv" . }}
{{ include "helixnet.secret" (list "HELIX_BROKER_URL" (required "broker.existingSecret is needed: the Secret with the broker's address" .Values.broker.existingSecret) .Values.broker.key) }}
{{- with .Values.cache.existingSecret }}
{{ include "helixnet.secret" (list "HELIX_CACHE_URL" . $.Values.cache.key) }}
{{- end }}
- name: HELIX_STORAGE_URL
  value: {{ required "storage.url is needed: s3://bucket/prefix" .Values.storage.url | quote }}
{{- with .Values.storage.endpoint }}
- name: HELIX_STORAGE_ENDPOINT
  value: {{ . | quote }}
{{- end }}
- name: HELIX_STORAGE_REGION
  value: {{ .Values.storage.region | quote }}
{{- with .Values.storage.existingSecret }}
{{ include "helixnet.secret" (list "HELIX_STORAGE_ACCESS_KEY" . $.Values.storage.accessKeyKey) }}
{{ include "helixnet.secret" (list "HELIX_STORAGE_SECRET_KEY" . $.Values.storage.secretKeyKey) }}
{{- end }}
{{- end -}}

{{- define "helixnet.metricsEnv" -}}
{{- if .Values.metrics.enabled }}
- name: HELIX_METRICS_PORT
  value: {{ .Values.metrics.port | quote }}
- name: HELIX_METRICS_HOST
  value: 0.0.0.0
{{- end }}
{{- end -}}

{{/* Settings by name: (dict of values). A number of a values file is a float, and a large one would be shown as such. */}}
{{- define "helixnet.settings" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
{{- if and (kindIs "float64" $value) (eq (floor $value) $value) }}
  value: {{ $value | int64 | toString | quote }}
{{- else }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "helixnet.secretKeyEnv" -}}
{{ include "helixnet.secret" (list "HELIX_SECRET_KEY" (required "secretKey.existingSecret is needed: the Secret with the key that signs access tokens" .Values.secretKey.existingSecret) .Values.secretKey.key) }}
{{- end -}}

{{- define "helixnet.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "helixnet.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What every pod of the release has in common, besides its containers: (list $ component pool?). */}}
{{- define "helixnet.pod" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ include "helixnet.serviceAccount" $root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- include "helixnet.pullSecrets" $root }}
securityContext:
  {{- toYaml $root.Values.podSecurityContext | nindent 2 }}
{{- with $root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "helixnet.selector" $ | nindent 8 }}
  {{- end }}
{{- end -}}

{{- define "helixnet.metricsPort" -}}
{{- if .Values.metrics.enabled }}
- name: metrics
  containerPort: {{ .Values.metrics.port }}
{{- end }}
{{- end -}}

{{/* (list $ annotations) */}}
{{- define "helixnet.podAnnotations" -}}
{{- $root := index . 0 -}}
{{- $given := index . 1 -}}
{{- $all := dict -}}
{{- if $root.Values.metrics.enabled -}}
{{- $_ := set $all "prometheus.io/scrape" "true" -}}
{{- $_ := set $all "prometheus.io/port" (toString $root.Values.metrics.port) -}}
{{- $_ := set $all "prometheus.io/path" "/metrics" -}}
{{- end -}}
{{- with mergeOverwrite $all $given }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* How many jobs a pool's queues hold, for KEDA. The line is counted by its index and no further than the cap; what
     runs is in a small index of its own. What waits in a paused queue asks for no worker. */}}
{{- define "helixnet.depthQuery" -}}
{{- $pool := index . 0 -}}
{{- $cap := mul (int $pool.autoscaling.maxReplicas) (int $pool.autoscaling.jobsPerReplica) -}}
{{- $parts := list -}}
{{- range $pool.queues -}}
{{- $parts = append $parts (printf "(SELECT count(*) FROM (SELECT 1 FROM jobs WHERE status = 'PENDING' AND due AND queue = '%s' AND NOT EXISTS (SELECT 1 FROM queues WHERE name = '%s' AND paused) LIMIT %d) AS waiting)" . . $cap) -}}
{{- $parts = append $parts (printf "(SELECT count(*) FROM jobs WHERE status = 'IN_PROGRESS' AND queue = '%s')" .) -}}
{{- end -}}
SELECT {{ join " + " $parts }}
{{- end -}}

{{/* One rule of a way out: `ports`, and `to` where it leads; with `udp` for both protocols. */}}
{{- define "helixnet.egress" -}}
{{- $udp := .udp -}}
ports:
  {{- range .ports }}
  - {port: {{ . }}, protocol: TCP}
  {{- if $udp }}
  - {port: {{ . }}, protocol: UDP}
  {{- end }}
  {{- end }}
{{- with .to }}
to:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Where the object store listens: what its address says, or what its scheme means. */}}
{{- define "helixnet.storagePort" -}}
{{- $address := urlParse (.Values.storage.endpoint | default "https://s3") -}}
{{- $port := regexFind ":[0-9]+$" $address.host | trimPrefix ":" -}}
{{- $port | default (ternary "80" "443" (eq $address.scheme "http")) -}}
{{- end -}}
