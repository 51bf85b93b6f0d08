{{- define "lanner.name" -}}
{{- default (ternary .Release.Name (printf "%s-lanner" .Release.Name) (contains "lanner" .Release.Name)) .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "lanner.selector" -}}
app.kubernetes.io/name: lanner
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* Not those of the webhook, whose service and budget would take the agents for its own pods. */ -}}
{{- define "lanner.agentSelector" -}}
app.kubernetes.io/name: lanner-agent
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "lanner.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "lanner.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: audit-webhook
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "lanner.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end -}}

{{- define "lanner.serviceAccount" -}}
{{- default (ternary (include "lanner.name" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "lanner.tlsSecret" -}}
{{- default (printf "%s-tls" (include "lanner.name" .)) .Values.tls.existingSecret -}}
{{- end -}}

{{- define "lanner.clientCertificates" -}}
{{- if and .Values.tls.enabled .Values.tls.clientCA.existingSecret -}}yes{{- end -}}
{{- end -}}

{{- /* What values cannot mean together; the schema says what each may be. */ -}}
{{- define "lanner.check" -}}
{{- if .Values.tls.enabled -}}
{{- if and .Values.tls.certManager.enabled .Values.tls.existingSecret -}}
{{- fail "tls.existingSecret and tls.certManager.enabled are both set: choose who makes the certificate" -}}
{{- end -}}
{{- if not (or .Values.tls.certManager.enabled .Values.tls.existingSecret) -}}
{{- fail "TLS needs a certificate: set tls.existingSecret or tls.certManager.enabled, or tls.enabled=false to do without" -}}
{{- end -}}
{{- if and .Values.tls.certManager.enabled (not .Values.tls.certManager.issuerRef.name) -}}
{{- fail "tls.certManager.enabled needs tls.certManager.issuerRef.name: the issuer that signs the certificate" -}}
{{- end -}}
{{- else if or .Values.tls.clientCA.existingSecret .Values.tls.existingSecret .Values.tls.certManager.enabled -}}
{{- fail "tls.enabled is false, but other values of tls are set: without TLS there are no certificates" -}}
{{- end -}}
{{- if and .Values.service.nodePort (ne .Values.service.type "NodePort") -}}
{{- fail "service.nodePort needs service.type=NodePort" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.from) -}}
{{- fail "networkPolicy.enabled needs networkPolicy.from: the addresses of the API servers, or nobody gets in" -}}
{{- end -}}
{{- if and .Values.enrichment.enabled (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "enrichment.enabled needs an account: serviceAccount.create or serviceAccount.name, or every pod of the namespace could list the cluster" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (not .Values.metrics.enabled) -}}
{{- fail "serviceMonitor.enabled needs metrics.enabled: there is nothing to scrape" -}}
{{- end -}}
{{- if and .Values.metrics.enabled .Values.networkPolicy.enabled (not .Values.networkPolicy.metricsFrom) -}}
{{- fail "metrics.enabled with networkPolicy.enabled needs networkPolicy.metricsFrom: who scrapes them, or nobody gets in" -}}
{{- end -}}
{{- if and .Values.metrics.enabled (eq (int .Values.metrics.port) (int .Values.port)) -}}
{{- fail "metrics.port is the port of the webhook: choose another one" -}}
{{- end -}}
{{- if and .Values.podDisruptionBudget.enabled (gt (int .Values.replicas) 1) (ge (int .Values.podDisruptionBudget.minAvailable) (int .Values.replicas)) -}}
{{- fail "podDisruptionBudget.minAvailable has to be less than replicas, or no node can be drained" -}}
{{- end -}}
{{- end -}}

{{- define "lanner.config" -}}
{{- $listen := dict "host" .Values.bindAddress "port" (int .Values.port) -}}
{{- if .Values.tls.enabled -}}
{{- $tls := dict "cert" "/etc/lanner-tls/tls.crt" "key" "/etc/lanner-tls/tls.key" -}}
{{- if include "lanner.clientCertificates" . -}}
{{- $_ := set $tls "client_ca" (printf "/etc/lanner-client-ca/%s" .Values.tls.clientCA.key) -}}
{{- if .Values.tls.allowedNames -}}
{{- $_ := set $tls "allowed_names" .Values.tls.allowedNames -}}
{{- end -}}
{{- end -}}
{{- $_ := set $listen "tls" $tls -}}
{{- end -}}
{{- $path := trimSuffix "/" .Values.path -}}
{{- $source := merge (dict "type" "k8saudit" "listen" $listen "path" $path) (deepCopy .Values.webhook) -}}
{{- if .Values.tokens -}}
{{- $_ := set $source "tokens" .Values.tokens -}}
{{- end -}}
{{- if not (or .Values.persistence.enabled $source.overload) -}}
{{- $_ := set $source "overload" "shed" -}}
{{- end -}}
{{- if and (or (eq (default "" $source.overload) "spool") (eq (default "" $source.ack) "spooled")) (not $source.spool) -}}
{{- $_ := set $source "spool" (dict "path" "/var/lib/lanner/spool") -}}
{{- end -}}
{{- $more := dict -}}
{{- if .Values.enrichment.enabled -}}
{{- $_ := set $more "enrichment" (dict "enabled" true "cluster" .Values.clusterName "kinds" .Values.enrichment.kinds "labels" .Values.enrichment.labels) -}}
{{- end -}}
{{- if .Values.metrics.enabled -}}
{{- $_ := set $more "webserver" (dict "enabled" true "listen_address" .Values.bindAddress "listen_port" (int .Values.metrics.port)) -}}
{{- end -}}
{{- $rules := .Values.rules.bundled -}}
{{- range $name := keys .Values.rules.files | sortAlpha -}}
{{- $rules = append $rules (printf "/etc/lanner-rules/%s" $name) -}}
{{- end -}}
{{- merge (dict "rules_files" $rules "sources" (list $source)) $more (deepCopy .Values.config) | toYaml -}}
{{- end -}}
