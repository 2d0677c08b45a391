# Heron tries again 1, 5 and 15 minutes after a failure, so its last attempt comes 21 minutes after the first, and what
# fails then is lost to it. Google shows a request some 2 minutes late: windows here are short enough to leave a person
# more than half of those 21 minutes. PromQL, for a condition on a metric that has no data yet is refused otherwise.
locals {
  # 403: nobody may call it; 429 and 5xx: no instance is free, or none starts, or ingest itself could not publish. Not 408:
  # whoever writes the shape of a signature may let a body hang.
  ingest_refusing  = format(local.promql.ingest_answer, ",status=~\"403|429|5..\"")
  ingest_accepting = format(local.promql.ingest_answer, ",status=~\"2..\"")
  # What could be Heron's: it bears a signature. Without one it is a stranger's, and raises nothing.
  ingest_mismatching = format(local.promql.ingest, ",outcome=~\"malformed|mismatch\"")
  ingest_unrouted    = format(local.promql.ingest, ",outcome=\"unrouted\"")
  # By topic: what was published in the last hour, and what was pushed to the projector in the last two, in success or not.
  published           = "sum by (topic_id) (increase(pubsub_googleapis_com:topic_send_message_operation_count{monitored_resource=\"pubsub_topic\",topic_id=~\"${var.prefix}(${join("|", keys(google_pubsub_topic.event))})\",response_class=\"success\"}[1h]))"
  projected           = "label_replace(sum by (subscription_id) (increase(${format(local.promql.subscription, "push_request_count", "${var.prefix}projector[.].+")}[2h])) > 0, \"topic_id\", \"${var.prefix}$1\", \"subscription_id\", \"${var.prefix}projector[.](.+)\")"
  bring_in            = var.recover ? "recover brings in what Heron gave up, within half an hour" : "bring in what Heron gave up: `npx heron recover`"
  notification_places = concat(sort(var.notification_channels), [for channel in google_monitoring_notification_channel.email : channel.name])

  alerts = merge(
    {
      ingest-down = {
        severity = "CRITICAL"
        title    = "ingest accepts nothing: Heron gives up 21 minutes after its first attempt"
        query    = "sum(increase(${local.ingest_refusing}[5m])) > 1 unless sum(increase(${local.ingest_accepting}[5m])) > 0"
        meaning  = "At least two attempts failed within 5 minutes and none succeeded. Each webhook is lost to us 21 minutes after its first attempt, until somebody has Heron send it again."
        what     = "Read ingest's log for the outcome. `unavailable`: Pub/Sub does not take the events (status.cloud.google.com, ingest's right to publish, quota). Nothing logged by ingest itself: look at the answers in Cloud Run's request log. 403: nobody may call it (apply the Terraform module; an organisation's policy may forbid allUsers). 429: all instances are taken; raise max_instances. 5xx: it does not start; go back to the revision before (Cloud Run, Manage traffic). Afterwards ${local.bring_in}."
      }
      ingest-errors = {
        severity = "ERROR"
        title    = "ingest answers 5xx"
        query    = "sum(increase(${local.ingest_refusing}[10m])) > 1 and sum(increase(${local.ingest_refusing}[10m])) > 0.01 * sum(increase(${format(local.promql.ingest_answer, "")}[10m]))"
        meaning  = "More than one request in a hundred is refused. Heron's retries still bring them; each spends one of its three."
        what     = "As for \"ingest accepts nothing\", with more time."
      }
      ingest-secret = {
        severity = "ERROR"
        title    = "ingest refuses every signature"
        query    = "sum(increase(${local.ingest_mismatching}[10m])) > 2 unless sum(increase(${local.ingest_accepting}[10m])) > 0"
        meaning  = "Requests come that bear a signature, none of them made with our secret. Either somebody forges while Heron is quiet, or the secret is not the one Heron uses, and then its webhooks are lost 21 minutes after their first attempt."
        what     = "If the secret was set or rotated lately: add a version with the old and the new secret, one a line. Nothing needs a deployment."
      }
      unauthorized = {
        severity = "WARNING"
        title    = "Forged signatures above usual"
        query    = "sum(increase(${local.ingest_mismatching}[10m])) > ${var.alert_unauthorized} and sum(increase(${local.ingest_mismatching}[10m])) > 3 * sum(increase(${local.ingest_mismatching}[12h])) / 72"
        meaning  = "Somebody sends forged signatures, three times as many as in the last 12 hours. They reach nothing, but take ingest's instances."
        what     = "If webhooks are accepted meanwhile, it is abuse: look at the callers' addresses in Cloud Run's request log, and put Cloud Armor in front if it lasts. If none are, see \"ingest refuses every signature\"."
      }
      topic-unread = {
        severity = "ERROR"
        title    = "a topic has events, and no subscription of the projector"
        query    = "${local.published} > 0 unless on (topic_id) ${local.projected}"
        meaning  = "ingest publishes to the topic and answers 200, but nothing of it was pushed to the projector, not even in vain: its subscription was deleted, detached or made to pull. The log does not get these events."
        what     = "Apply the Terraform module: it makes the subscription anew. Then have it read what it missed, which the topic keeps for ${var.topic_retention_days} days: `gcloud pubsub subscriptions seek ${var.prefix}projector.TOPIC --time=…`, a time before it was lost. What the log has already is a duplicate, and changes nothing."
      }
      unrouted = {
        severity = "WARNING"
        title    = "Heron sends what we have no topic for"
        query    = "sum(increase(${local.ingest_unrouted}[10m])) > 0"
        meaning  = "A topic that is not in topics.json, or a body that is not the documented shape. Nothing is lost: it is published to ${var.prefix}unrouted, and in the log."
        what     = "Read the topic in ingest's log. Add it to functions/heron/topics.json and apply."
      }
    },
    var.ingest.min_instances == 0 ? {} : {
      ingest-absent = {
        severity = "CRITICAL"
        title    = "ingest has no instance"
        query    = "absent(sum(max_over_time(run_googleapis_com:container_instance_count{monitored_resource=\"cloud_run_revision\",service_name=\"${var.prefix}ingest\"}[5m])) > 0)"
        meaning  = "One is always kept, and for 5 minutes there has been none: the function is gone, or does not start. Seen without any request; if webhooks come, they are refused."
        what     = "Cloud Run, ingest, Logs: why it does not start. Go back to the revision before (Manage traffic), or apply the Terraform module. Afterwards ${local.bring_in}."
      }
    },
    !var.recover ? {} : {
      recovered = {
        severity = "WARNING"
        title    = "recover has brought in what Heron gave up"
        query    = "sum(increase(${format(local.promql.recover, ",outcome=~\"recovered|resend_requested\"")}[10m])) > 0"
        meaning  = "For more than 21 minutes Heron could not deliver. What it had given up is in the log by now, or was asked for again: later than it should have been."
        what     = "Find out what the outage was: ingest's alerts and answers at the times that the webhooks were created (recover's log has their event_ids)."
      }
      recover-fails = {
        severity = "ERROR"
        title    = "recover does not get through"
        query    = "absent(sum(increase(${format(local.promql.recover, ",outcome=\"recovery_done\"")}[30m])) > 0)"
        duration = "1800s"
        meaning  = "No run has come to its end for an hour, of one every 15 minutes. What Heron gives up meanwhile is not brought in; Heron keeps it for 7 days."
        what     = "Read recover's log. `recovery_failed`: Heron's API refuses or cannot be reached (401 or 403: the key; add a version of ${var.prefix}heron-api-key). `recovery_incomplete`: some deliveries fail each time. Nothing logged: Cloud Scheduler's job `${var.prefix}recover` and its log."
      }
    },
    var.alert_silence_hours == null ? {} : {
      silence = {
        severity = "ERROR"
        title    = "No webhook for ${var.alert_silence_hours} hours"
        query    = "absent(sum(increase(${local.ingest_accepting}[${var.alert_silence_hours}h])) > 0)"
        meaning  = "Nothing failed; nothing came. Heron's registration may be switched off, or point elsewhere. A new installation is silent until its first webhook."
        what     = "Send a signed test. If it is accepted, ask Heron for the webhook's registration and its failed deliveries. If so little is normal, raise alert_silence_hours or set it to null."
      }
    },
  )
}

check "somebody_is_told" {
  assert {
    condition     = length(var.alert_emails) + length(var.notification_channels) > 0
    error_message = "Nobody is told when webhooks are lost: alert_emails and notification_channels are both empty. Alerts are made all the same, and wait in the console."
  }
}

resource "google_monitoring_notification_channel" "email" {
  for_each = var.alert_emails

  display_name = "${var.prefix}heron: ${each.value}"
  type         = "email"
  labels       = { email_address = each.value }

  depends_on = [google_project_service.api]
}

resource "google_monitoring_alert_policy" "path" {
  for_each = local.alerts

  display_name          = "${var.prefix}heron: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = local.notification_places
  user_labels           = local.labels

  conditions {
    display_name = each.value.title

    condition_prometheus_query_language {
      query                     = each.value.query
      duration                  = lookup(each.value, "duration", "0s")
      evaluation_interval       = "30s"
      disable_metric_validation = true
    }
  }

  documentation {
    content = "${each.value.meaning}\n\n${each.value.what}"
  }

  # None tells of what is not there yet.
  depends_on = [google_cloudfunctions2_function.ingest, google_cloud_scheduler_job.recover, google_logging_metric.answer, google_logging_metric.outcome]
}

# What ingest refuses for its size no retry will bring.
resource "google_monitoring_alert_policy" "too_large" {
  display_name          = "${var.prefix}heron: a webhook is too large for Pub/Sub"
  combiner              = "OR"
  severity              = "WARNING"
  notification_channels = local.notification_places
  user_labels           = local.labels

  conditions {
    display_name = "too_large"

    condition_matched_log {
      filter = "${local.logged.ingest} AND jsonPayload.outcome=\"too_large\""
    }
  }

  alert_strategy {
    auto_close = "86400s"

    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    content = "A body of over 10 MB, the most Pub/Sub takes, was answered 413 and dropped; Heron's retries will fare no better. It bore Heron's signature.\n\nAsk Heron's API for failed deliveries at that time, and take the payload from there."
  }

  depends_on = [google_project_service.api]
}

# A setting is wrong, and the function says which in its last line.
resource "google_monitoring_alert_policy" "not_started" {
  display_name          = "${var.prefix}heron: a function does not start"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = local.notification_places
  user_labels           = local.labels

  conditions {
    display_name = "not_started"

    condition_matched_log {
      filter = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=(${join(" OR ", [for name in keys(local.functions) : "\"${var.prefix}${name}\""])}) AND jsonPayload.outcome=\"not_started\""
    }
  }

  alert_strategy {
    auto_close = "86400s"

    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    content = "A new instance refused its settings: an environment variable, the secret or the key is missing or wrong. Instances that run go on until they are replaced; then nothing is taken.\n\nThe line in the log says what to set. Apply the Terraform module, or add a good version of the secret."
  }

  depends_on = [google_project_service.api]
}

# What works for now, and somebody should look at.
resource "google_monitoring_alert_policy" "ingest_config" {
  display_name          = "${var.prefix}heron: a topic or the secret of ingest is not as it should be"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.notification_places
  user_labels           = local.labels

  conditions {
    display_name = "topic_missing, topic_refused, secret_stale or secret_suspicious"

    condition_matched_log {
      filter = "${local.logged.ingest} AND jsonPayload.outcome=(\"topic_missing\" OR \"topic_refused\" OR \"secret_stale\" OR \"secret_suspicious\")"
    }
  }

  alert_strategy {
    auto_close = "86400s"

    notification_rate_limit {
      period = "3600s"
    }
  }

  documentation {
    content = "Nothing is lost. `topic_missing` and `topic_refused`: Pub/Sub refuses what belongs to a topic, and it goes to ${var.prefix}unrouted; its subscribers do not get it. `secret_stale`: the secret cannot be read again, and a rotation would not be noticed. `secret_suspicious`: a secret looks as if something had been pasted with it.\n\nRead ingest's log: each line says what to do."
  }

  depends_on = [google_project_service.api]
}

# A subscriber has its own: dead letters, or events that wait too long. Whose reason that is, nobody can tell for sure from
# outside: it says whose to take it for, and where to look.
locals {
  reasons = { for name, subscriber in local.subscribers : name => (
    name == "projector" ? {
      whose = "ours"
      how   = "Ours: the projector is part of this. Its log says what it refuses and why; the outcome `unavailable` is Firestore."
      } : subscriber.paused ? {
      whose = "ours"
      how   = "Ours: ${name} is paused, and its events are kept for 7 days, no longer. Set paused = false, or they are lost one after another."
      } : {
      push     = { whose = "theirs", how = "Theirs, unless Pub/Sub may not call them: in Metrics Explorer, subscription/push_request_count of their subscriptions by response_class. remote_server_5xx, deadline_exceeded and invalid are answers of their service, unreachable its address. remote_server_4xx is theirs too, but 401 and 403 may mean that nobody lets sub-${name} in. No push at all is ours: apply the Terraform module." }
      pull     = { whose = "theirs", how = "Theirs: nobody pulls, or what is pulled is not acknowledged in time. Ours only where their log has PERMISSION_DENIED: pull_members and service_accounts." }
      bigquery = { whose = "ours", how = "Ours: Pub/Sub writes the table as sub-${name}. subscription/push_request_count by response_code says what BigQuery answers. Theirs where somebody has changed or removed the table." }
    }[subscriber.kind]
  ) }
}

resource "google_monitoring_alert_policy" "subscriber" {
  for_each = local.subscribers

  display_name          = "${var.prefix}heron: ${each.key} does not get its events (most likely ${local.reasons[each.key].whose})"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = local.notification_places
  user_labels           = merge(local.labels, { subscriber = each.key, reason = local.reasons[each.key].whose })

  conditions {
    display_name = "${each.key} has dead letters"

    condition_threshold {
      filter          = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.dead_letter[each.key].name}\" AND metric.type = \"pubsub.googleapis.com/subscription/num_undelivered_messages\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period   = "60s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  conditions {
    display_name = "${each.key}'s oldest event waits for more than ${each.value.alert_unacked_minutes} minutes"

    condition_threshold {
      filter          = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = monitoring.regex.full_match(\"${var.prefix}(${each.key}[.].+|replay[.]${each.key})\") AND metric.type = \"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.alert_unacked_minutes * 60
      duration        = "120s"

      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_MAX"
        cross_series_reducer = "REDUCE_MAX"
      }
    }
  }

  documentation {
    content = "${local.reasons[each.key].how}\n\nDead letters: ${each.key} refused an event ${local.delivery.max_delivery_attempts} times${each.key == "projector" ? ", or the projector knows that it can never succeed" : ""}. They wait in ${var.prefix}dead-letter.${each.key} for 31 days, and block nothing. Read them, mend the cause, send them again to ${var.prefix}replay.${each.key}, which reaches ${each.key} alone.\n\nWaiting: ${each.key} refuses, is too slow, or is not there. Look at its log and its error rate; events are kept for 7 days, and each is tried for some 16 hours before it is a dead letter."
  }
}
