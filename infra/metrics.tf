# Counted from the functions' own log lines: one JSON line for each request, with its outcome.
locals {
  logged = { for name in concat(["ingest", "projector"], var.recover ? ["recover"] : []) : name => join(" AND ", [
    "resource.type=\"cloud_run_revision\"",
    "resource.labels.service_name=\"${var.prefix}${name}\"",
    "jsonPayload.function=\"${name}\"",
    "jsonPayload.outcome:*",
  ]) }

  # The same metrics as PromQL calls them.
  promql = {
    ingest        = "logging_googleapis_com:user_${local.metric_prefix}ingest{monitored_resource=\"cloud_run_revision\"%s}"
    ingest_answer = "logging_googleapis_com:user_${local.metric_prefix}ingest_answers{monitored_resource=\"cloud_run_revision\"%s}"
    projector     = "logging_googleapis_com:user_${local.metric_prefix}projector{monitored_resource=\"cloud_run_revision\"%s}"
    recover       = "logging_googleapis_com:user_${local.metric_prefix}recover{monitored_resource=\"cloud_run_revision\"%s}"
    request       = "run_googleapis_com:request_count{monitored_resource=\"cloud_run_revision\",service_name=\"${var.prefix}%s\"%s}"
    subscription  = "pubsub_googleapis_com:subscription_%s{monitored_resource=\"pubsub_subscription\",subscription_id=~\"%s\"}"
    instances     = "run_googleapis_com:container_instance_count{monitored_resource=\"cloud_run_revision\",service_name=~\"${var.prefix}(${join("|", keys(local.functions))})\"}"
    latency       = "run_googleapis_com:request_latencies_bucket{monitored_resource=\"cloud_run_revision\",service_name=\"${var.prefix}%s\",response_code_class=\"2xx\"}"
  }

  # Requests a second: a line that was kept of many (log_sampling) counts for all of them. An alarm never needs this, as
  # what it counts is always logged.
  logged_rate = { for name in keys(local.logged) : name => join(" or ", [
    "rate(${format(local.promql[name], ",sampling=\"\"%s")}[5m])",
    "rate(${format(local.promql[name], ",sampling!=\"\"%s")}[5m]) / ${var.log_sampling}",
  ]) }

  metric_prefix = "${replace(var.prefix, "-", "_")}heron_"
}

# What Heron is answered, by whomever: Google's front end writes a line for each request, also where it reaches no instance
# (none is free or none starts, nobody may call the service), which Cloud Run's own request_count leaves out.
resource "google_logging_metric" "answer" {
  name        = "${local.metric_prefix}ingest_answers"
  description = "How each POST to ingest was answered, by ingest or before it"
  filter = join(" AND ", [
    "logName=\"projects/${var.project_id}/logs/run.googleapis.com%2Frequests\"",
    "resource.type=\"cloud_run_revision\"",
    "resource.labels.service_name=\"${var.prefix}ingest\"",
    "httpRequest.requestMethod=\"POST\"",
  ])

  label_extractors = {
    status = "EXTRACT(httpRequest.status)"
  }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"

    labels {
      key = "status"
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_logging_metric" "outcome" {
  for_each = local.logged

  name        = "${local.metric_prefix}${each.key}"
  description = "What became of each request to ${each.key}"
  filter      = each.value

  label_extractors = {
    outcome  = "EXTRACT(jsonPayload.outcome)"
    sampling = "EXTRACT(jsonPayload.sampling)"
    topic    = "EXTRACT(jsonPayload.topic)"
  }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"

    labels {
      key = "outcome"
    }

    labels {
      key = "sampling"
    }

    labels {
      key = "topic"
    }
  }

  depends_on = [google_project_service.api]
}
