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
    condition     = toset(keys(google_monitoring_alert_policy.path)) == toset(["ingest-down", "ingest-errors", "ingest-secret", "silence", "topic-unread", "unauthorized", "unrouted"])
    error_message = "ingest down, 5xx, 401s, a wrong secret, silence, unrouted, and a topic that nobody reads, are watched"
  }

  assert {
    condition     = google_monitoring_alert_policy.path["ingest-down"].severity == "CRITICAL" && strcontains(google_monitoring_alert_policy.path["ingest-down"].conditions[0].condition_prometheus_query_language[0].query, "[5m]")
    error_message = "a failing ingest pages within minutes: Heron's last attempt comes 21 minutes after its first"
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
    condition = alltrue([for alert in concat(values(google_monitoring_alert_policy.path), values(google_monitoring_alert_policy.subscriber), [google_monitoring_alert_policy.too_large]) :
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
      length(regexall("logging_googleapis_com", widget.xyChart.dataSets[0].timeSeriesQuery.prometheusQuery)) == 0 ||
    length(regexall("or rate[(][^)]*,sampling!=\"\"[^)]*[)] / 0.05[)]", widget.xyChart.dataSets[0].timeSeriesQuery.prometheusQuery)) == 1])
    error_message = "on the dashboard a line that was kept of twenty counts for twenty"
  }

  assert {
    condition     = alltrue([for metric in google_logging_metric.outcome : metric.label_extractors.sampling == "EXTRACT(jsonPayload.sampling)"])
    error_message = "a metric tells lines that stand for others from all others"
  }
}

run "silence_is_an_option" {
  command = plan

  variables {
    alert_silence_hours = null
  }

  assert {
    condition     = !contains(keys(google_monitoring_alert_policy.path), "silence")
    error_message = "an environment that is normally silent has no alert for it"
  }
}
