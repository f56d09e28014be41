//! The built-in texts, in English and in Chinese: Go templates over the data that `docs/alerts.md` describes.

use super::Lang;

/// The texts of one language.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words {
    /// One line over the whole message.
    pub(crate) title: &'static str,
    /// What is said about one alert, in Markdown.
    pub(crate) alert: &'static str,
    /// One alert in a digest.
    pub(crate) line: &'static str,
    /// Marks a text that was cut.
    pub(crate) cut: &'static str,
}

/// The built-in texts of `lang`.
pub(crate) fn words(lang: Lang) -> &'static Words {
    match lang {
        Lang::En => &EN,
        Lang::Zh => &ZH,
    }
}

const EN: Words = Words {
    title: "{{ if .Digest }}Digest: {{ len .Alerts }} alerts, {{ len .Firing }} firing, {{ len .Resolved }} resolved\
        {{ else }}{{ if .Firing }}[FIRING{{ if gt (len .Alerts) 1 }}:{{ len .Firing }}{{ end }}]{{ else }}[RESOLVED]{{ end }} \
        {{ or .CommonLabels.alertname .GroupLabels.alertname \"alerts\" }}\
        {{ with .CommonLabels.severity }} ({{ . }}){{ end }}\
        {{ with .CommonLabels.service }} {{ . }}{{ end }}{{ with .CommonLabels.pod }} {{ . }}{{ end }}{{ end }}",
    alert: "**{{ if .Firing }}FIRING{{ else }}RESOLVED{{ end }}: {{ .Labels.alertname }}**{{ with .Labels.severity }} ({{ . }}){{ end }}\n\
        {{ with .Annotations.summary }}{{ . }}\n{{ end }}\
        Value: {{ .ValueText }}{{ with .Threshold }} (threshold {{ . }}){{ end }}\n\
        {{ if .Firing }}Since: {{ .Since }} ({{ .Lasted }}){{ else }}Over: {{ .Until }}, after {{ .Lasted }}{{ end }}\n\
        {{ with .Where }}Where: {{ . }}\n{{ end }}\
        {{ with .NextStep }}Next: {{ . }}\n{{ end }}\
        {{ if .Links }}{{ range $i, $link := .Links }}{{ if $i }} | {{ end }}[{{ $link.Name }}]({{ $link.URL }}){{ end }}\n{{ end }}\
        {{ with .Annotations.description }}{{ . }}{{ end }}",
    line: "{{ if .Firing }}FIRING{{ else }}RESOLVED{{ end }} **{{ .Labels.alertname }}** {{ .ValueText }}{{ with .Threshold }} \
        ({{ . }}){{ end }} {{ if .Firing }}since {{ .Since }}{{ else }}at {{ .Until }}{{ end }} {{ .Where }}",
    cut: "… (cut)",
};

const ZH: Words = Words {
    title: "{{ if .Digest }}汇总：{{ len .Alerts }} 条告警，{{ len .Firing }} 条触发，{{ len .Resolved }} 条恢复\
        {{ else }}{{ if .Firing }}【告警{{ if gt (len .Alerts) 1 }} {{ len .Firing }} 条{{ end }}】{{ else }}【恢复】{{ end }}\
        {{ or .CommonLabels.alertname .GroupLabels.alertname \"多条告警\" }}\
        {{ with .CommonLabels.severity }}（{{ . }}）{{ end }}\
        {{ with .CommonLabels.service }} {{ . }}{{ end }}{{ with .CommonLabels.pod }} {{ . }}{{ end }}{{ end }}",
    alert: "**{{ if .Firing }}触发{{ else }}恢复{{ end }}：{{ .Labels.alertname }}**{{ with .Labels.severity }}（{{ . }}）{{ end }}\n\
        {{ with .Annotations.summary }}{{ . }}\n{{ end }}\
        当前值：{{ .ValueText }}{{ with .Threshold }}（阈值 {{ . }}）{{ end }}\n\
        {{ if .Firing }}开始时间：{{ .Since }}（已持续 {{ .Lasted }}）{{ else }}结束时间：{{ .Until }}，共持续 {{ .Lasted }}{{ end }}\n\
        {{ with .Where }}位置：{{ . }}\n{{ end }}\
        {{ with .NextStep }}下一步：{{ . }}\n{{ end }}\
        {{ if .Links }}{{ range $i, $link := .Links }}{{ if $i }} | {{ end }}[{{ $link.Name }}]({{ $link.URL }}){{ end }}\n{{ end }}\
        {{ with .Annotations.description }}{{ . }}{{ end }}",
    line: "{{ if .Firing }}触发{{ else }}恢复{{ end }} **{{ .Labels.alertname }}** {{ .ValueText }}{{ with .Threshold }}\
        （{{ . }}）{{ end }} {{ if .Firing }}自 {{ .Since }}{{ else }}于 {{ .Until }}{{ end }} {{ .Where }}",
    cut: "…（已截断）",
};

/// What a link to `annotation` is called.
pub(crate) fn link_name(lang: Lang, annotation: &str) -> &'static str {
    match (lang, annotation) {
        (Lang::En, "runbook_url") => "runbook",
        (Lang::En, "dashboard_url") => "dashboard",
        (Lang::En, "panel_url") => "panel",
        (Lang::En, _) => "alert",
        (Lang::Zh, "runbook_url") => "处理手册",
        (Lang::Zh, "dashboard_url") => "仪表盘",
        (Lang::Zh, "panel_url") => "图表",
        (Lang::Zh, _) => "告警详情",
    }
}
