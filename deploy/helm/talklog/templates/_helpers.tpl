{{/* The name of the release, with the chart's if that is not in it. */}}
{{- define "talklog.name" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{/* What a selector asks for: [root, component]. */}}
{{- define "talklog.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* All labels of an object: [root, component]. */}}
{{- define "talklog.labels" -}}
{{- $root := index . 0 -}}
{{ include "talklog.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end -}}

{{- define "talklog.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{- define "talklog.secretName" -}}
{{ default (include "talklog.name" .) .Values.secret.existing }}
{{- end -}}

{{/* The key under which a secret is kept, empty if it is not there: [root, name]. */}}
{{- define "talklog.secretKey" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}
{{- $key := index $root.Values.secret.keys $name -}}
{{- if $root.Values.secret.existing -}}{{ $key }}
{{- else if index $root.Values.secret.values $name -}}{{ default ($name | kebabcase) $key }}
{{- end -}}
{{- end -}}

{{/* After SIGTERM a process ends by itself in its delay, its grace time and 20 s more at most: seconds
until it is killed. */}}
{{- define "talklog.killAfter" -}}
{{ add (default 0 .drainDelaySeconds) (default 5 .graceSeconds) 25 }}
{{- end -}}

{{/* A part of a chart's values must be there, and sizes must fit: found out before anything is made. */}}
{{- define "talklog.check" -}}
{{- $_ := required "kafka.brokers: host:port of your Kafka" .Values.kafka.brokers -}}
{{- $_ = required "model.baseUrl: an OpenAI-compatible API, with /v1" .Values.model.baseUrl -}}
{{- range $name := list "postgresDsn" "redisUrl" -}}
{{- if not (include "talklog.secretKey" (list $ $name)) -}}
{{- fail (printf "secret.values.%s (or secret.existing with secret.keys.%s): required" $name $name) -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.auth.mode "jwt") (not .Values.auth.jwks) (not (include "talklog.secretKey" (list . "jwtSecret"))) -}}
{{- fail "auth.mode=jwt needs auth.jwks, or jwtSecret in the secret" -}}
{{- end -}}
{{- if and (eq .Values.auth.mode "hook") (not .Values.auth.hookUrl) -}}
{{- fail "auth.mode=hook needs auth.hookUrl" -}}
{{- end -}}
{{- range $of := list .Values .Values.gateway .Values.worker .Values.persister .Values.lagExporter .Values.jobs -}}
{{- if and $of.secretFiles (not $.Values.secret.existing) -}}
{{- fail "secretFiles: needs secret.existing, the Secret that holds their keys" -}}
{{- end -}}
{{- end -}}
{{- range $name := list "TALKLOG_GRACE_S" "TALKLOG_DRAIN_DELAY_S" -}}
{{- range $env := list $.Values.env $.Values.gateway.env $.Values.worker.env $.Values.persister.env -}}
{{- if hasKey $env $name -}}
{{- fail (printf "%s: set graceSeconds or drainDelaySeconds of the tier, so that its pods are given the time" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $tier := list "worker" "persister" -}}
{{- $of := index $.Values $tier -}}
{{- $most := ternary $of.autoscaling.max $of.replicas $of.autoscaling.enabled -}}
{{- if gt (int $most) (int $.Values.shards) -}}
{{- fail (printf "%s: %d processes, but only %d shards to share: the others would idle" $tier (int $most) (int $.Values.shards)) -}}
{{- end -}}
{{- if and $of.autoscaling.enabled (not $.Values.monitoring.prometheusUrl) -}}
{{- fail (printf "%s.autoscaling needs monitoring.prometheusUrl" $tier) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Slowly down, fast up: who leaves sends people or answers elsewhere. */}}
{{- define "talklog.behavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  policies:
    - {type: Percent, value: 100, periodSeconds: 60}
    - {type: Pods, value: 2, periodSeconds: 60}
  selectPolicy: Max
scaleDown:
  stabilizationWindowSeconds: 900
  policies:
    - {type: Pods, value: 1, periodSeconds: 300}
{{- end -}}
