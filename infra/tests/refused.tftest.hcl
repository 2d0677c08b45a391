# What is refused before anything is made.
mock_provider "archive" {}

mock_provider "google" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  project_id = "my-project"
}

run "a_topic_heron_does_not_have" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["end_user.proccessed"], push_endpoint = "https://billing.example.com" } }
  }
  expect_failures = [var.subscribers]
}

run "no_topics" {
  command = plan
  variables {
    subscribers = { billing = { topics = [], push_endpoint = "https://billing.example.com" } }
  }
  expect_failures = [var.subscribers]
}

run "two_destinations" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["*"], push_endpoint = "https://billing.example.com", bigquery_table = "my-project.heron.events" } }
  }
  expect_failures = [var.subscribers]
}

run "no_destination" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["*"] } }
  }
  expect_failures = [var.subscribers]
}

run "nobody_to_pull" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["*"], pull_members = [] } }
  }
  expect_failures = [var.subscribers]
}

run "a_push_without_tls" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["*"], push_endpoint = "http://billing.example.com" } }
  }
  expect_failures = [var.subscribers]
}

run "a_table_without_its_dataset" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["*"], bigquery_table = "events" } }
  }
  expect_failures = [var.subscribers]
}

run "a_name_that_is_taken" {
  command = plan
  variables {
    subscribers = { projector = { topics = ["*"], push_endpoint = "https://billing.example.com" } }
  }
  expect_failures = [var.subscribers]
}

run "a_name_too_long_for_an_account" {
  command = plan
  variables {
    subscribers = { underwriting-automation = { topics = ["*"], push_endpoint = "https://billing.example.com" } }
  }
  expect_failures = [var.subscribers]
}

run "anyone_may_pull" {
  command = plan
  variables {
    subscribers = { billing = { topics = ["*"], pull_members = ["allUsers"] } }
  }
  expect_failures = [var.subscribers]
}

run "anyone_may_ask" {
  command = plan
  variables {
    query_members = ["allUsers"]
  }
  expect_failures = [var.query_members]
}

run "anyone_is_an_operator" {
  command = plan
  variables {
    operators = ["allAuthenticatedUsers"]
  }
  expect_failures = [var.operators]
}

run "bodies_that_do_not_fit_in_ingest" {
  command = plan
  variables {
    ingest = { concurrency = 80 }
  }
  expect_failures = [var.ingest]
}

run "messages_that_do_not_fit_in_projector" {
  command = plan
  variables {
    projector = { memory_mib = 512 }
  }
  expect_failures = [var.projector]
}

run "half_a_cpu_for_many_requests" {
  command = plan
  variables {
    query = { cpu = 0.5 }
  }
  expect_failures = [var.query]
}

run "a_prefix_that_runs_into_the_name" {
  command = plan
  variables {
    prefix = "staging"
  }
  expect_failures = [var.prefix]
}

run "a_prefix_google_keeps_for_itself" {
  command = plan
  variables {
    prefix = "goog-"
  }
  expect_failures = [var.prefix]
}

run "a_project_number" {
  command = plan
  variables {
    project_id = "123456789012"
  }
  expect_failures = [var.project_id]
}

run "more_retention_than_pubsub_has" {
  command = plan
  variables {
    topic_retention_days = 32
  }
  expect_failures = [var.topic_retention_days]
}
