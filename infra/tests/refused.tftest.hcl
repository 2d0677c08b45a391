# What is refused before anything is made.
mock_provider "archive" {
  source          = "./tests/mocks/archive"
  override_during = plan
}

mock_provider "google" {
  source          = "./tests/mocks/google"
  override_during = plan
}

variables {
  project_id   = "my-project"
  alert_emails = ["oncall@example.com"]
}

run "a_topic_heron_does_not_have" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["end_user.proccessed"], push_endpoint = "https://billing.example.com" } }
  }
  plan_options {
    target = [google_pubsub_topic.dead_letter]
  }
  expect_failures = [var.subscribers]
}

run "the_doctors_canary" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["doctor.canary"], push_endpoint = "https://billing.example.com" } }
  }
  plan_options {
    target = [google_pubsub_topic.dead_letter]
  }
  expect_failures = [var.subscribers]
}

run "a_pattern_that_nothing_matches" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["end_users.*"], push_endpoint = "https://billing.example.com" } }
  }
  plan_options {
    target = [google_pubsub_topic.dead_letter]
  }
  expect_failures = [var.subscribers]
}

run "a_dot_is_a_dot" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["end.user*"], push_endpoint = "https://billing.example.com" } }
  }
  plan_options {
    target = [google_pubsub_topic.dead_letter]
  }
  expect_failures = [var.subscribers]
}

run "a_paused_pull" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["*"], paused = true, pull_members = ["group:billing@example.com"] } }
  }
  plan_options {
    target = [google_pubsub_topic.dead_letter]
  }
  expect_failures = [var.subscribers]
}

run "accounts_with_nothing_to_pull" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["*"], bigquery_table = "my-project.heron.events", service_accounts = ["billing@my-project.iam.gserviceaccount.com"] } }
  }
  plan_options {
    target = [google_pubsub_topic.dead_letter]
  }
  expect_failures = [var.subscribers]
}

run "a_person_as_service_account" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["*"], service_accounts = ["someone@example.com"] } }
  }
  plan_options {
    target = [google_pubsub_topic.dead_letter]
  }
  expect_failures = [var.subscribers]
}

run "no_topics" {
  command = plan
  variables {
    subscribers = { billing = { topics = [], push_endpoint = "https://billing.example.com" } }
  }
  plan_options {
    target = [google_pubsub_topic.dead_letter]
  }
  expect_failures = [var.subscribers]
}

run "two_destinations" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["*"], push_endpoint = "https://billing.example.com", bigquery_table = "my-project.heron.events" } }
  }
  plan_options {
    target = [google_pubsub_topic.dead_letter]
  }
  expect_failures = [var.subscribers]
}

run "no_destination" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["*"] } }
  }
  plan_options {
    target = [google_pubsub_topic.dead_letter]
  }
  expect_failures = [var.subscribers]
}

run "nobody_to_pull" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["*"], pull_members = [] } }
  }
  plan_options {
    target = [google_pubsub_topic.dead_letter]
  }
  expect_failures = [var.subscribers]
}

run "a_push_without_tls" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["*"], push_endpoint = "http://billing.example.com" } }
  }
  plan_options {
    target = [google_pubsub_topic.dead_letter]
  }
  expect_failures = [var.subscribers]
}

run "a_table_without_its_dataset" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["*"], bigquery_table = "events" } }
  }
  plan_options {
    target = [google_pubsub_topic.dead_letter]
  }
  expect_failures = [var.subscribers]
}

run "a_name_that_is_taken" {
  command = plan
  variables {
    subscribers = { projector = { topics = ["*"], push_endpoint = "https://billing.example.com" } }
  }
  plan_options {
    target = [google_pubsub_topic.dead_letter]
  }
  expect_failures = [var.subscribers]
}

run "a_name_too_long_for_an_account" {
  command = plan
  variables {
    subscribers = { underwriting-automation = { topics = ["*"], push_endpoint = "https://billing.example.com" } }
  }
  plan_options {
    target = [google_pubsub_topic.dead_letter]
  }
  expect_failures = [var.subscribers]
}

run "anyone_may_pull" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["*"], pull_members = ["allUsers"] } }
  }
  plan_options {
    target = [google_pubsub_topic.dead_letter]
  }
  expect_failures = [var.subscribers]
}

run "anyone" {
  command = plan
  variables {
    operators     = ["allAuthenticatedUsers"]
    query_members = ["allUsers"]
  }
  expect_failures = [var.operators, var.query_members]
}

run "a_key_that_is_none" {
  command = plan
  variables {
    heron_api_key = "key \nof mine"
  }
  expect_failures = [var.heron_api_key]
}

run "sizes" {
  command = plan
  variables {
    ingest               = { concurrency = 80 } # bodies of 10 MB do not fit
    projector            = { memory_mib = 512 } # nor do messages
    query                = { cpu = 0.5 }        # Cloud Run wants a whole one for many requests
    topic_retention_days = 32                   # more than Pub/Sub has
  }
  expect_failures = [var.ingest, var.projector, var.query, var.topic_retention_days]
}

run "names" {
  command = plan
  variables {
    prefix     = "staging"      # runs into the name
    project_id = "123456789012" # a project's number
  }
  expect_failures = [var.prefix, var.project_id]
}

run "a_name_google_keeps_for_itself" {
  command = plan
  variables {
    prefix = "goog-"
  }
  expect_failures = [var.prefix]
}

run "telemetry_that_goes_nowhere" {
  command = plan
  variables {
    telemetry = { OTEL_TRACES_SAMPLER = "always_on" }
  }
  plan_options {
    target = [google_cloudfunctions2_function.projector]
  }
  expect_failures = [var.telemetry]
}

run "a_share_of_log_lines_that_is_none" {
  command = plan
  variables {
    log_sampling = 0
  }
  plan_options {
    target = [google_cloudfunctions2_function.projector]
  }
  expect_failures = [var.log_sampling]
}
