# Each thing that can go wrong has its alert, and each alert says what to do.
mock_provider "archive" {
  source          = "./tests/mocks/archive"
  override_during = plan
}

mock_provider "google" {
  source          = "./tests/mocks/google"
  override_during = plan
}

variables {
  project_id            = "my-project"
  notification_channels = ["projects/my-project/notificationChannels/1"]
}

run "alerts" {
  command = plan

  assert {
    condition     = toset(keys(google_monitoring_alert_policy.path)) == toset(["ingest-absent", "ingest-down", "ingest-errors", "ingest-secret", "silence", "topic-unread", "unauthorized", "unrouted"])
    error_message = "ingest down or without an instance, 5xx, 401s, a wrong secret, silence, unrouted, and a topic that nobody reads, are watched"
  }

  assert {
    condition     = google_monitoring_alert_policy.path["ingest-down"].severity == "CRITICAL" && strcontains(google_monitoring_alert_policy.path["ingest-down"].conditions[0].condition_prometheus_query_language[0].query, "[5m]")
    error_message = "a failing ingest pages within minutes: Heron's last attempt comes 21 minutes after its first"
  }

  # Cloud Run's own request_count has no request that reached no instance.
  assert {
    condition = (
      google_monitoring_alert_policy.path["ingest-down"].conditions[0].condition_prometheus_query_language[0].query == join(" unless ", [
        "sum(increase(logging_googleapis_com:user_heron_ingest_answers{monitored_resource=\"cloud_run_revision\",status=~\"403|429|5..\"}[5m])) > 1",
        "sum(increase(logging_googleapis_com:user_heron_ingest_answers{monitored_resource=\"cloud_run_revision\",status=~\"2..\"}[5m])) > 0",
      ]) &&
      google_logging_metric.answer.name == "heron_ingest_answers" &&
      strcontains(google_logging_metric.answer.filter, "logName=\"projects/my-project/logs/run.googleapis.com%2Frequests\"") &&
      strcontains(google_logging_metric.answer.filter, "service_name=\"ingest\"") &&
      google_logging_metric.answer.label_extractors.status == "EXTRACT(httpRequest.status)" &&
      !anytrue([for alert in google_monitoring_alert_policy.path : strcontains(alert.conditions[0].condition_prometheus_query_language[0].query, "run_googleapis_com:request_count{")])
    )
    error_message = "an outage is seen in what Google's front end answers, where no instance is reached as well"
  }

  assert {
    condition     = google_monitoring_alert_policy.path["ingest-absent"].severity == "CRITICAL" && google_monitoring_alert_policy.path["ingest-absent"].conditions[0].condition_prometheus_query_language[0].query == "absent(sum(max_over_time(run_googleapis_com:container_instance_count{monitored_resource=\"cloud_run_revision\",service_name=\"ingest\"}[5m])) > 0)"
    error_message = "and, before anybody calls, in there being no instance"
  }

  assert {
    condition     = google_monitoring_alert_policy.not_started.severity == "CRITICAL" && strcontains(google_monitoring_alert_policy.not_started.conditions[0].condition_matched_log[0].filter, "service_name=(\"ingest\" OR \"projector\" OR \"query\") AND jsonPayload.outcome=\"not_started\"")
    error_message = "a function that refuses its settings is told of, whichever it is"
  }

  assert {
    condition     = alltrue([for alert in google_monitoring_alert_policy.path : alert.conditions[0].condition_prometheus_query_language[0].disable_metric_validation])
    error_message = "an alert may be made before its metric has data"
  }

  assert {
    condition     = alltrue([for alert in google_monitoring_alert_policy.path : length(regexall("[(]", alert.conditions[0].condition_prometheus_query_language[0].query)) == length(regexall("[)]", alert.conditions[0].condition_prometheus_query_language[0].query)) && !strcontains(alert.conditions[0].condition_prometheus_query_language[0].query, "%!")])
    error_message = "queries are complete"
  }

  assert {
    condition = alltrue([for alert in concat(values(google_monitoring_alert_policy.path), values(google_monitoring_alert_policy.subscriber), [google_monitoring_alert_policy.ingest_config, google_monitoring_alert_policy.not_started, google_monitoring_alert_policy.too_large]) :
    alert.notification_channels == tolist(["projects/my-project/notificationChannels/1"]) && length(alert.documentation[0].content) > 100])
    error_message = "every alert reaches somebody, and says what it means and what to do"
  }

  assert {
    condition = (
      strcontains(google_monitoring_alert_policy.subscriber["projector"].conditions[0].condition_threshold[0].filter, "\"dead-letter.projector\"") &&
      google_monitoring_alert_policy.subscriber["projector"].conditions[0].condition_threshold[0].threshold_value == 0 &&
      strcontains(google_monitoring_alert_policy.subscriber["projector"].conditions[1].condition_threshold[0].filter, "full_match(\"(projector[.].+|replay[.]projector)\")") &&
      google_monitoring_alert_policy.subscriber["projector"].conditions[1].condition_threshold[0].threshold_value == 1800
    )
    error_message = "a dead letter alerts at once, a waiting event after half an hour, of a subscriber's own subscriptions"
  }

  assert {
    condition = (
      strcontains(google_monitoring_alert_policy.path["topic-unread"].conditions[0].condition_prometheus_query_language[0].query, "topic_id=~\"(data_source.disabled|data_source.enabled|") &&
      endswith(google_monitoring_alert_policy.path["topic-unread"].conditions[0].condition_prometheus_query_language[0].query, "\"topic_id\", \"$1\", \"subscription_id\", \"projector[.](.+)\")")
    )
    error_message = "a topic is held against the projector's subscription of it"
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.path["silence"].conditions[0].condition_prometheus_query_language[0].query, "[23h]")
    error_message = "silence is noticed within a day"
  }

  assert {
    condition     = alltrue([for metric in google_logging_metric.outcome : strcontains(metric.filter, "jsonPayload.outcome:*") && metric.label_extractors.outcome == "EXTRACT(jsonPayload.outcome)"])
    error_message = "metrics are counted from the functions' own log lines"
  }

  assert {
    condition     = length(jsondecode(google_monitoring_dashboard.path.dashboard_json).gridLayout.widgets) >= 10
    error_message = "there is a dashboard of the path"
  }
}

run "sampled_logs_fool_nobody" {
  command = plan

  variables {
    log_sampling = 0.05
    telemetry    = { OTEL_EXPORTER_OTLP_ENDPOINT = "https://collector.example.com" }
  }

  assert {
    condition     = alltrue([for function in [google_cloudfunctions2_function.ingest, google_cloudfunctions2_function.projector, google_cloudfunctions2_function.query] : function.service_config[0].environment_variables.OTEL_EXPORTER_OTLP_ENDPOINT == "https://collector.example.com"])
    error_message = "spans of all functions go where telemetry says"
  }

  assert {
    condition     = google_cloudfunctions2_function.ingest.service_config[0].environment_variables.LOG_SAMPLING == "0.05" && google_cloudfunctions2_function.projector.service_config[0].environment_variables.LOG_SAMPLING == "0.05"
    error_message = "ingest and projector keep the lines of the same webhooks"
  }

  assert {
    condition = alltrue(flatten([for alert in google_monitoring_alert_policy.path : [
      for outcomes in regexall("heron_(?:ingest|projector)[{][^}]*[}]", alert.conditions[0].condition_prometheus_query_language[0].query) :
      length(regexall("outcome=", outcomes)) == 1 && length(regexall("published|recorded|duplicate|forgotten", outcomes)) == 0
    ]]))
    error_message = "no alarm counts lines that may be left out"
  }

  assert {
    condition = alltrue([for widget in jsondecode(google_monitoring_dashboard.path.dashboard_json).gridLayout.widgets :
      length(regexall("user_heron_(?:ingest|projector)[{]", widget.xyChart.dataSets[0].timeSeriesQuery.prometheusQuery)) == 0 ||
    length(regexall("or rate[(][^)]*,sampling!=\"\"[^)]*[)] / 0.05[)]", widget.xyChart.dataSets[0].timeSeriesQuery.prometheusQuery)) == 1])
    error_message = "on the dashboard a line that was kept of twenty counts for twenty"
  }

  assert {
    condition     = alltrue([for metric in google_logging_metric.outcome : metric.label_extractors.sampling == "EXTRACT(jsonPayload.sampling)"])
    error_message = "a metric tells lines that stand for others from all others"
  }
}

run "nobody_is_told" {
  command = plan

  variables {
    notification_channels = []
  }

  expect_failures = [check.somebody_is_told]
}

run "options" {
  command = plan

  variables {
    alert_silence_hours = null
    ingest              = { min_instances = 0 }
  }

  assert {
    condition     = !contains(keys(google_monitoring_alert_policy.path), "silence")
    error_message = "an environment that is normally silent has no alert for it"
  }

  assert {
    condition     = !contains(keys(google_monitoring_alert_policy.path), "ingest-absent")
    error_message = "nor one that keeps no instance, for there being none"
  }
}
