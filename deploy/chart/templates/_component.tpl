{{/*
What the components have in common. Each template here is given a component:

    dict "root" $ "name" "operator"

the chart's context, and the component's name, which is the key of its values as well.
*/}}

{{- define "agora-transcription.component.fullname" -}}
{{ include "agora-transcription.fullname" .root }}-{{ .name }}
{{- end -}}

{{- define "agora-transcription.component.labels" -}}
{{ include "agora-transcription.labels" .root }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{- define "agora-transcription.component.selectorLabels" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{- define "agora-transcription.component.serviceAccountName" -}}
{{- $account := (index .root.Values .name).serviceAccount -}}
{{- if $account.create -}}
{{ $account.name | default (include "agora-transcription.component.fullname" .) }}
{{- else -}}
{{ required (printf "%s.serviceAccount.name: is needed where %s.serviceAccount.create is false" .name .name) $account.name }}
{{- end -}}
{{- end -}}

{{/* Of an object in the release's namespace; what else it is to have stands beside the component: "labels", "annotations", "as". */}}
{{- define "agora-transcription.component.metadata" -}}
name: {{ .as | default (include "agora-transcription.component.fullname" .) | quote }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "agora-transcription.component.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A Deployment's spec without its template: a new Pod is ready before an old one goes. */}}
{{- define "agora-transcription.component.rollout" -}}
replicas: {{ (index .root.Values .name).replicas }}
strategy:
  type: RollingUpdate
  rollingUpdate:
    maxSurge: 1
    maxUnavailable: 0
selector:
  matchLabels:
    {{- include "agora-transcription.component.selectorLabels" . | nindent 4 }}
{{- end -}}

{{- define "agora-transcription.component.podMetadata" -}}
{{- $values := index .root.Values .name -}}
labels:
  {{- /* Not the chart's version: a chart that changes nothing else restarts nothing. */}}
  {{- $labels := include "agora-transcription.component.selectorLabels" . | fromYaml }}
  {{- $_ := set $labels "app.kubernetes.io/part-of" "agora-transcription" }}
  {{- merge $labels $values.podLabels .root.Values.commonLabels | toYaml | nindent 2 }}
annotations:
  kubectl.kubernetes.io/default-container: {{ .name }}
  {{- with $values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Who the Pod is, and where it runs. */}}
{{- define "agora-transcription.component.pod" -}}
{{- $values := index .root.Values .name -}}
serviceAccountName: {{ include "agora-transcription.component.serviceAccountName" . | quote }}
# The names of Services in the environment are of no use to it.
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if and (gt (int $values.replicas) 1) $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- $component := . }}
  {{- range $values.topologySpreadConstraints }}
  - {{- toYaml . | nindent 4 }}
    {{- if not (hasKey . "labelSelector") }}
    labelSelector:
      matchLabels:
        {{- include "agora-transcription.component.selectorLabels" $component | nindent 8 }}
    {{- end }}
  {{- end }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Probes, resources and rights of the container. */}}
{{- define "agora-transcription.component.container" -}}
{{- $values := index .root.Values .name -}}
startupProbe:
  httpGet:
    path: /healthz
    port: health
  {{- toYaml $values.probes.startup | nindent 2 }}
livenessProbe:
  httpGet:
    path: /healthz
    port: health
  {{- toYaml $values.probes.liveness | nindent 2 }}
readinessProbe:
  httpGet:
    path: /readyz
    port: health
  {{- toYaml $values.probes.readiness | nindent 2 }}
{{- with $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* For what others call: it goes on until no Service sends anything to it any more. */}}
{{- define "agora-transcription.drained" -}}
lifecycle:
  preStop:
    sleep:
      seconds: 5
{{- end -}}

{{/* The entry of a container's environment that $(POD_NAMESPACE) in its arguments is taken from. */}}
{{- define "agora-transcription.podNamespace" -}}
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- end -}}

{{/* A NetworkPolicy's spec up to its rules. */}}
{{- define "agora-transcription.component.policy" -}}
podSelector:
  matchLabels:
    {{- include "agora-transcription.component.selectorLabels" . | nindent 4 }}
policyTypes: [Ingress, Egress]
{{- end -}}

{{/* The rule of ingress for metrics and probes. */}}
{{- define "agora-transcription.component.observed" -}}
{{- $values := index .root.Values .name -}}
- ports:
    {{- if $values.metrics.enabled }}
    - port: metrics
    {{- end }}
    - port: health
  {{- with $values.networkPolicy.metricsFrom }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* The rule of egress that every component needs. */}}
{{- define "agora-transcription.dns" -}}
# DNS: behind its Service OpenShift's listens on 5353.
- ports:
    {{- range list 53 5353 }}
    - port: {{ . }}
      protocol: UDP
    - port: {{ . }}
      protocol: TCP
    {{- end }}
{{- end -}}
