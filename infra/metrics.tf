# Counted from the functions' own log lines: one JSON line for each request, with its outcome.
locals {
  logged = { for name in ["ingest", "projector"] : name => join(" AND ", [
    "resource.type=\"cloud_run_revision\"",
    "resource.labels.service_name=\"${var.prefix}${name}\"",
    "jsonPayload.function=\"${name}\"",
    "jsonPayload.outcome:*",
  ]) }

  # The same metrics as PromQL calls them.
  promql = {
    ingest        = "logging_googleapis_com:user_${local.metric_prefix}ingest{monitored_resource=\"cloud_run_revision\"%s}"
    ingest_time   = "logging_googleapis_com:user_${local.metric_prefix}ingest_milliseconds_bucket{monitored_resource=\"cloud_run_revision\"}"
    projector     = "logging_googleapis_com:user_${local.metric_prefix}projector{monitored_resource=\"cloud_run_revision\"%s}"
    project_time  = "logging_googleapis_com:user_${local.metric_prefix}projector_milliseconds_bucket{monitored_resource=\"cloud_run_revision\"}"
    request       = "run_googleapis_com:request_count{monitored_resource=\"cloud_run_revision\",service_name=\"${var.prefix}%s\"%s}"
    subscription  = "pubsub_googleapis_com:subscription_%s{monitored_resource=\"pubsub_subscription\",subscription_id=~\"%s\"}"
    instances     = "run_googleapis_com:container_instance_count{monitored_resource=\"cloud_run_revision\",service_name=~\"${var.prefix}(ingest|projector|query)\"}"
    query_latency = "run_googleapis_com:request_latencies_bucket{monitored_resource=\"cloud_run_revision\",service_name=\"${var.prefix}query\"}"
  }

  metric_prefix = "${replace(var.prefix, "-", "_")}heron_"
}

resource "google_logging_metric" "outcome" {
  for_each = local.logged

  name        = "${local.metric_prefix}${each.key}"
  description = "What became of each request to ${each.key}"
  filter      = each.value

  label_extractors = {
    outcome = "EXTRACT(jsonPayload.outcome)"
    topic   = "EXTRACT(jsonPayload.topic)"
  }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"

    labels {
      key = "outcome"
    }

    labels {
      key = "topic"
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_logging_metric" "milliseconds" {
  for_each = local.logged

  name            = "${local.metric_prefix}${each.key}_milliseconds"
  description     = "How long ${each.key} took"
  filter          = "${each.value} AND jsonPayload.milliseconds>=0"
  value_extractor = "EXTRACT(jsonPayload.milliseconds)"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "ms"
  }

  bucket_options {
    exponential_buckets {
      growth_factor      = 1.4142135623730951
      num_finite_buckets = 40
      scale              = 1
    }
  }

  depends_on = [google_project_service.api]
}
