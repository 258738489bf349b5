{{/* Short enough for the longest suffix, in what must fit 63 characters. */}}
{{- define "agora-transcription.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 47 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 47 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 47 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels of what belongs to no component. */}}
{{- define "agora-transcription.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: agora-transcription
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "agora-transcription.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The image with the engines: another tag of the same repository. What is pinned by its digest is so as a whole. */}}
{{- define "agora-transcription.stt.image" -}}
{{- $stt := .Values.stt.image -}}
{{- if $stt.digest -}}
{{ .Values.image.repository }}@{{ $stt.digest }}
{{- else if and .Values.image.digest (not $stt.tag) -}}
{{- fail "stt.image.digest: is needed where image.digest is given; or give stt.image.tag" -}}
{{- else -}}
{{ .Values.image.repository }}:{{ $stt.tag | default (printf "%s-stt" (.Values.image.tag | default .Chart.AppVersion)) }}
{{- end -}}
{{- end -}}

{{/* The port that a URL leads to. */}}
{{- define "agora-transcription.port" -}}
{{- $url := urlParse . -}}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (ternary "80" "443" (has $url.scheme (list "http" "ws"))) -}}
{{- end -}}

{{/* What the operator may do in the namespaces that it watches, each rule with what it is for. */}}
{{- define "agora-transcription.operator.rules" -}}
# Watching the tasks, their finalizers, and deleting the finished ones (spec.ttlSecondsAfterFinished).
- apiGroups: [transcription.dev]
  resources: [transcriptiontasks]
  verbs: [get, list, watch, patch, delete]
# What is known of a task. The spec is never written.
- apiGroups: [transcription.dev]
  resources: [transcriptiontasks/status]
  verbs: [patch]
# The Secrets that a task names, one by one: no list, no watch.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
# Events about the tasks.
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}
