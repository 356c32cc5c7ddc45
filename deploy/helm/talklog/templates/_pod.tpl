{{/* A pod of a component: a dict of root, component, args (a list), secrets (names of values), settings
(a dict), of (the component's values), job (true: it ends by itself). */}}
{{- define "talklog.pod" -}}
{{- $root := .root -}}
metadata:
  labels:
    {{- include "talklog.labels" (list $root .component) | nindent 4 }}
    {{- with $root.Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    {{- if not $root.Values.secret.existing }}
    checksum/secret: {{ toJson $root.Values.secret.values | sha256sum }}
    {{- end }}
    checksum/settings: {{ toJson .settings | sha256sum }}
    {{- with $root.Values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  # A Service called talklog would be in the environment as TALKLOG_PORT=tcp://…
  enableServiceLinks: false
  automountServiceAccountToken: false
  {{- with $root.Values.serviceAccountName }}
  serviceAccountName: {{ . }}
  {{- end }}
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $root.Values.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.affinity }}
  affinity: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- if .job }}
  restartPolicy: Never
  {{- else }}
  terminationGracePeriodSeconds: {{ include "talklog.killAfter" .of }}
  {{- if $root.Values.topologySpread.enabled }}
  topologySpreadConstraints:
    {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ $key }}
      whenUnsatisfiable: {{ $root.Values.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels: {{ include "talklog.selector" (list $root $.component) | nindent 10 }}
    {{- end }}
  {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: {{ .component }}
      image: {{ include "talklog.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args: {{ toJson .args }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      env: {{ include "talklog.env" . | trim | nindent 8 }}
      {{- with $root.Values.envFrom }}
      envFrom: {{ toYaml . | nindent 8 }}
      {{- end }}
      {{- if not .job }}
      ports:
        - {name: admin, containerPort: 9100}
        {{- if eq .component "gateway" }}
        - {name: http, containerPort: 8000}
        {{- end }}
      # It lives as long as it answers; what stands still ends by itself (TALKLOG_STALL_LIMIT_S).
      startupProbe:
        httpGet: {path: /healthz, port: admin}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 90
      livenessProbe:
        httpGet: {path: /healthz, port: admin}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: admin}
        periodSeconds: 3
        timeoutSeconds: 2
        failureThreshold: 2
      {{- end }}
      {{- with (.of).resources }}
      resources: {{ toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: secrets, mountPath: /run/secrets/talklog, readOnly: true}
        {{- with $root.Values.extraVolumeMounts }}{{ toYaml . | nindent 8 }}{{ end }}
  volumes:
    - name: tmp
      emptyDir: {medium: Memory, sizeLimit: 64Mi}
    - name: secrets
      secret:
        secretName: {{ include "talklog.secretName" $root }}
        defaultMode: 0440
        items:
          {{- range .secrets }}
          {{- with include "talklog.secretKey" (list $root .) }}
          - {key: {{ . }}, path: {{ . }}}
          {{- end }}
          {{- end }}
          {{- range $name, $key := merge dict (default dict (.of).secretFiles) $root.Values.secretFiles }}
          - {key: {{ $key }}, path: {{ $key }}}
          {{- end }}
    {{- with $root.Values.extraVolumes }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end -}}

{{/* The environment of a component: what was given for it, for all, its own settings, what all must
know (the first that has a name counts), and the files of its secrets. */}}
{{- define "talklog.env" -}}
{{- $root := .root -}}
{{- $must := dict "TALKLOG_KAFKA" $root.Values.kafka.brokers "TALKLOG_EPOCH" $root.Values.epoch "TALKLOG_SHARDS" $root.Values.shards -}}
{{- range $name, $value := merge dict (default dict (.of).env) $root.Values.env .settings $must }}
- name: {{ $name }}
  value: {{ include "talklog.text" $value | quote }}
{{- end }}
{{- $files := dict "postgresDsn" "TALKLOG_POSTGRES_DSN_FILE" "redisUrl" "TALKLOG_REDIS_URL_FILE" "jwtSecret" "TALKLOG_JWT_SECRET_FILE" "hookSecret" "TALKLOG_HOOK_SECRET_FILE" "openaiApiKey" "OPENAI_API_KEY_FILE" "fallbackApiKey" "TALKLOG_FALLBACK_API_KEY_FILE" -}}
{{- range $secret := .secrets }}
{{- with include "talklog.secretKey" (list $root $secret) }}
- name: {{ index $files $secret }}
  value: /run/secrets/talklog/{{ . }}
{{- end }}
{{- end }}
{{- range $name, $key := merge dict (default dict (.of).secretFiles) $root.Values.secretFiles }}
- name: {{ $name }}
  value: /run/secrets/talklog/{{ $key }}
{{- end }}
{{- with $root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A value as text: Helm reads large whole numbers as 1.7e+09. */}}
{{- define "talklog.text" -}}
{{- if and (kindIs "float64" .) (eq (float64 (int64 .)) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end -}}
