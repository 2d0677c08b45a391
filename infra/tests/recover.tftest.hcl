# What Heron gave up is brought in where there is a key of its API, and everything works without one.
mock_provider "archive" {
  source          = "./tests/mocks/archive"
  override_during = plan
}

mock_provider "google" {
  source          = "./tests/mocks/google"
  override_during = plan
}

override_resource {
  target          = google_secret_manager_secret.api_key[0]
  override_during = plan
  values = {
    id = "projects/my-project/secrets/heron-api-key"
  }
}

variables {
  project_id    = "my-project"
  alert_emails  = ["oncall@example.com"]
  recover       = true
  heron_api_key = "key_test"
  operators     = ["group:operators@example.com"]
}

run "without_a_key" {
  command = plan

  variables {
    heron_api_key = null
  }

  expect_failures = [google_secret_manager_secret_version.api_key]
}

run "off" {
  command = plan

  variables {
    recover       = false
    heron_api_key = null
  }

  assert {
    condition = (
      length(google_cloudfunctions2_function.recover) + length(google_secret_manager_secret.api_key) + length(google_secret_manager_secret_iam_member.operator_api_key) +
      length(google_pubsub_topic_iam_member.recover) + length(google_project_iam_member.recover_store) + length(google_cloud_scheduler_job.recover) == 0
    )
    error_message = "without a key of Heron's API there is nothing of it"
  }

  assert {
    condition     = !contains(keys(google_service_account.function), "recover") && !contains(keys(google_project_service.api), "cloudscheduler.googleapis.com") && !contains(keys(google_logging_metric.outcome), "recover")
    error_message = "no account, no API, no metric either"
  }
}

run "on" {
  command = plan

  assert {
    condition = alltrue([
      google_cloudfunctions2_function.recover[0].build_config[0].entry_point == "recover",
      google_cloudfunctions2_function.recover[0].build_config[0].runtime == "nodejs24",
      google_cloudfunctions2_function.recover[0].build_config[0].service_account == google_service_account.build.id,
      google_cloudfunctions2_function.recover[0].build_config[0].docker_repository == google_artifact_registry_repository.functions.id,
      google_cloudfunctions2_function.recover[0].build_config[0].source[0].storage_source[0].object == google_storage_bucket_object.source.name,
      google_cloudfunctions2_function.recover[0].service_config[0].service_account_email == "fn-recover@my-project.iam.gserviceaccount.com",
      google_cloudfunctions2_function.recover[0].service_config[0].ingress_settings == "ALLOW_INTERNAL_ONLY",
    ])
    error_message = "it is built as the others, runs as its own account, and cannot be reached from outside"
  }

  assert {
    condition = google_cloudfunctions2_function.recover[0].service_config[0].environment_variables == tomap({
      FIRESTORE_DATABASE   = "(default)"
      GOOGLE_CLOUD_PROJECT = "my-project"
      HERON_API_KEY_FILE   = "/secrets/heron-api-key"
      NODE_COMPILE_CACHE   = "functions/built/compile-cache"
      NODE_ENV             = "production"
      TOPIC_PREFIX         = ""
    })
    error_message = "it gets the environment it reads, and no more"
  }

  # Its handler ends a run by itself; functions/recover/handler.ts says when.
  assert {
    condition = (
      google_cloudfunctions2_function.recover[0].service_config[0].timeout_seconds * 1000 >= 30000 + tonumber(replace(regex("RUN_MS = ([0-9_]+);", file("../functions/recover/handler.ts"))[0], "_", "")) &&
      google_cloud_scheduler_job.recover[0].attempt_deadline == "${google_cloudfunctions2_function.recover[0].service_config[0].timeout_seconds}s" &&
      google_cloud_scheduler_job.recover[0].schedule == "*/15 * * * *"
    )
    error_message = "a run ends before anybody ends it, and before the next one begins"
  }

  assert {
    condition     = google_cloudfunctions2_function.recover[0].service_config[0].max_instance_count == 1 && google_cloudfunctions2_function.recover[0].service_config[0].max_instance_request_concurrency == 1
    error_message = "one run at a time"
  }

  assert {
    condition = (
      google_cloud_scheduler_job.recover[0].http_target[0].http_method == "POST" &&
      google_cloud_scheduler_job.recover[0].http_target[0].uri == google_cloudfunctions2_function.recover[0].service_config[0].uri &&
      google_cloud_scheduler_job.recover[0].http_target[0].oidc_token[0].audience == google_cloudfunctions2_function.recover[0].service_config[0].uri &&
      google_cloud_scheduler_job.recover[0].http_target[0].oidc_token[0].service_account_email == "call-recover@my-project.iam.gserviceaccount.com" &&
      google_cloud_run_service_iam_member.recover_call[0].service == "recover" &&
      google_cloud_run_service_iam_member.recover_call[0].role == "roles/run.invoker" &&
      google_cloud_run_service_iam_member.recover_call[0].member == "serviceAccount:call-recover@my-project.iam.gserviceaccount.com"
    )
    error_message = "Cloud Scheduler calls it as an account that may do this alone"
  }

  assert {
    condition = (
      toset([for grant in google_pubsub_topic_iam_member.recover : "${grant.topic} ${grant.role} ${grant.member}"]) ==
      toset([for topic in concat(jsondecode(file("../functions/heron/topics.json"))[*].topic, ["unrouted"]) : "${topic} roles/pubsub.publisher serviceAccount:fn-recover@my-project.iam.gserviceaccount.com"])
    )
    error_message = "it may publish what Heron sends where ingest does"
  }

  assert {
    condition = (
      google_project_iam_member.recover_store[0].member == "serviceAccount:fn-recover@my-project.iam.gserviceaccount.com" &&
      google_project_iam_member.recover_store[0].role == "roles/datastore.user" &&
      google_project_iam_member.recover_store[0].condition[0].expression == "resource.name == \"projects/my-project/databases/(default)\""
    )
    error_message = "it may read the log and write what it has dealt with, in the one database"
  }

  assert {
    condition = (
      google_secret_manager_secret_version.api_key[0].secret_data == null &&
      google_secret_manager_secret_version.api_key[0].secret_data_wo == null &&
      google_secret_manager_secret_version.api_key[0].deletion_policy == "ABANDON" &&
      !strcontains(jsonencode(google_cloudfunctions2_function.recover[0].service_config[0].environment_variables), "key_test") &&
      length(google_cloudfunctions2_function.recover[0].service_config[0].secret_environment_variables) == 0
    )
    error_message = "the key is in no plan, no state and no environment, and its versions are never destroyed"
  }

  assert {
    condition = alltrue([for volume in google_cloudfunctions2_function.recover[0].service_config[0].secret_volumes : alltrue([
      volume.secret == "heron-api-key",
      volume.versions[0].version == "latest",
      "${volume.mount_path}/${volume.versions[0].path}" == google_cloudfunctions2_function.recover[0].service_config[0].environment_variables.HERON_API_KEY_FILE,
    ])]) && length(google_cloudfunctions2_function.recover[0].service_config[0].secret_volumes) == 1
    error_message = "it finds the newest version of the key where HERON_API_KEY_FILE says, and no other secret"
  }

  assert {
    condition = (
      google_secret_manager_secret_iam_member.recover[0].member == "serviceAccount:fn-recover@my-project.iam.gserviceaccount.com" &&
      google_secret_manager_secret_iam_member.recover[0].secret_id == google_secret_manager_secret.api_key[0].id &&
      alltrue([for grant in google_secret_manager_secret_iam_member.operator_api_key : grant.member == "group:operators@example.com"])
    )
    error_message = "recover alone may read the key, and operators, who rotate it"
  }

  assert {
    condition = (
      strcontains(google_monitoring_alert_policy.path["recovered"].conditions[0].condition_prometheus_query_language[0].query, "user_heron_recover{monitored_resource=\"cloud_run_revision\",outcome=~\"recovered|resend_requested\"}") &&
      strcontains(google_monitoring_alert_policy.path["recover-fails"].conditions[0].condition_prometheus_query_language[0].query, "absent(sum(increase(logging_googleapis_com:user_heron_recover{monitored_resource=\"cloud_run_revision\",outcome=\"recovery_done\"}[30m])) > 0)") &&
      google_monitoring_alert_policy.path["recover-fails"].conditions[0].condition_prometheus_query_language[0].duration == "1800s" &&
      strcontains(google_monitoring_alert_policy.not_started.conditions[0].condition_matched_log[0].filter, "\"recover\"")
    )
    error_message = "somebody is told when it had something to bring in, and when it cannot"
  }
}
