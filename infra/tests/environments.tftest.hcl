# The examples, applied from one module: two environments in one project meet nowhere.
mock_provider "archive" {
  source          = "./tests/mocks/archive"
  override_during = plan
}

mock_provider "google" {
  source          = "./tests/mocks/google"
  override_during = plan
}

run "smallest_example" {
  command = plan

  module {
    source = "./tests/example"
  }

  variables {
    name = "smallest"
  }
}

run "smallest" {
  command = plan

  variables {
    project_id = run.smallest_example.values.project_id
  }

  expect_failures = [check.somebody_is_told]

  assert {
    condition     = keys(run.smallest_example.values) == ["project_id"] && google_cloudfunctions2_function.ingest.name == "ingest"
    error_message = "the project is all that must be given"
  }

  assert {
    condition     = alltrue([for name in concat([google_service_account.build.account_id], values(google_service_account.function)[*].account_id, values(google_service_account.subscriber)[*].account_id) : can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", name))])
    error_message = "accounts have names that Google takes"
  }
}

run "production_example" {
  command = plan

  module {
    source = "./tests/example"
  }

  variables {
    name = "production"
  }
}

run "production" {
  command = plan

  variables {
    project_id            = run.production_example.values.project_id
    alert_emails          = run.production_example.values.alert_emails
    alert_silence_hours   = run.production_example.values.alert_silence_hours
    backup_retention_days = run.production_example.values.backup_retention_days
    labels                = run.production_example.values.labels
    operators             = run.production_example.values.operators
    query_members         = run.production_example.values.query_members
    recover               = run.production_example.values.recover
    subscribers           = run.production_example.values.subscribers
    heron_api_key         = "key_test"
  }

  assert {
    condition     = google_monitoring_notification_channel.email["oncall@example.com"].labels.email_address == "oncall@example.com"
    error_message = "alerts are mailed"
  }
}

run "staging_example" {
  command = plan

  module {
    source = "./tests/example"
  }

  variables {
    name = "staging"
  }
}

run "staging" {
  command = plan

  variables {
    project_id            = run.staging_example.values.project_id
    prefix                = run.staging_example.values.prefix
    alert_silence_hours   = run.staging_example.values.alert_silence_hours
    backup_retention_days = run.staging_example.values.backup_retention_days
    event_retention_days  = run.staging_example.values.event_retention_days
    ingest                = run.staging_example.values.ingest
    labels                = run.staging_example.values.labels
  }

  expect_failures = [check.somebody_is_told]

  assert {
    condition = alltrue([for name in concat(
      values(google_pubsub_topic.event)[*].name,
      values(google_pubsub_topic.dead_letter)[*].name,
      values(google_pubsub_topic.replay)[*].name,
      values(google_pubsub_subscription.subscriber)[*].name,
      values(google_pubsub_subscription.dead_letter)[*].name,
      values(google_service_account.function)[*].account_id,
      values(google_service_account.subscriber)[*].account_id,
      values(google_monitoring_alert_policy.path)[*].display_name,
      values(google_monitoring_alert_policy.subscriber)[*].display_name,
      [
        google_cloudfunctions2_function.ingest.name,
        google_cloudfunctions2_function.projector.name,
        google_cloudfunctions2_function.query.name,
        google_artifact_registry_repository.functions.repository_id,
        google_firestore_database.events.name,
        google_monitoring_alert_policy.too_large.display_name,
        google_secret_manager_secret.heron.secret_id,
        google_service_account.build.account_id,
        trimprefix(google_storage_bucket.source.name, "my-project-"),
      ],
    ) : startswith(name, "staging-")])
    error_message = "every name has the prefix"
  }

  assert {
    condition     = alltrue([for name in values(google_logging_metric.outcome)[*].name : startswith(name, "staging_heron_")])
    error_message = "so have metrics, in their own spelling"
  }

  assert {
    condition     = alltrue([for metric in google_logging_metric.outcome : strcontains(metric.filter, "resource.labels.service_name=\"staging-")])
    error_message = "an environment counts its own log lines"
  }

  assert {
    condition     = google_cloudfunctions2_function.ingest.service_config[0].environment_variables.TOPIC_PREFIX == "staging-" && google_cloudfunctions2_function.projector.service_config[0].environment_variables.TOPIC_PREFIX == "staging-"
    error_message = "the functions know the prefix"
  }

  assert {
    condition     = google_cloudfunctions2_function.projector.service_config[0].environment_variables.FIRESTORE_DATABASE == "staging-heron"
    error_message = "each environment has its database"
  }
}
