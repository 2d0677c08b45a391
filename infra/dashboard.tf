# The path from left to right, top to bottom.
locals {
  published_outcomes = ",outcome=~\"published|unrouted\""

  charts = [
    { title = "ingest: requests by outcome", unit = "1/s", query = "sum by (outcome) (${format(local.logged_rate.ingest, "", "")})" },
    { title = "ingest: POSTs by answer, as Google's front end gave it", unit = "1/s", query = "sum by (status) (rate(${format(local.promql.ingest_answer, "")}[5m]))" },
    { title = "ingest: milliseconds, 99 of 100", unit = "ms", query = "histogram_quantile(0.99, sum by (le) (rate(${format(local.promql.latency, "ingest")}[5m])))" },
    { title = "Events by topic", unit = "1/s", query = "sum by (topic) (${format(local.logged_rate.ingest, local.published_outcomes, local.published_outcomes)})" },
    { title = "Oldest waiting event by subscription", unit = "s", query = "topk(10, max by (subscription_id) (${format(local.promql.subscription, "oldest_unacked_message_age", "${var.prefix}(${join("|", keys(local.subscribers))}|replay)[.].+")}))" },
    { title = "Dead letters", unit = "1", query = "max by (subscription_id) (${format(local.promql.subscription, "num_undelivered_messages", "${var.prefix}dead-letter[.].+")})" },
    { title = "projector: events by outcome", unit = "1/s", query = "sum by (outcome) (${format(local.logged_rate.projector, "", "")})" },
    { title = "projector: milliseconds, 99 of 100", unit = "ms", query = "histogram_quantile(0.99, sum by (le) (rate(${format(local.promql.latency, "projector")}[5m])))" },
    { title = "query: requests by answer", unit = "1/s", query = "sum by (response_code) (rate(${format(local.promql.request, "query", "")}[5m]))" },
    { title = "query: milliseconds, 99 of 100", unit = "ms", query = "histogram_quantile(0.99, sum by (le) (rate(${format(local.promql.latency, "query")}[5m])))" },
    { title = "Instances", unit = "1", query = "sum by (service_name, state) (${local.promql.instances})" },
  ]
}

resource "google_monitoring_dashboard" "path" {
  dashboard_json = jsonencode({
    displayName = "${var.prefix}heron: the path of a webhook"
    gridLayout = {
      columns = "3"
      widgets = [for chart in local.charts : {
        title = chart.title
        xyChart = {
          dataSets = [{
            plotType        = "LINE"
            timeSeriesQuery = { prometheusQuery = chart.query, unitOverride = chart.unit }
          }]
        }
      }]
    }
  })

  depends_on = [google_logging_metric.answer, google_logging_metric.outcome]
}
