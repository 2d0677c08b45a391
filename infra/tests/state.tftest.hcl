# What real applies leave behind, one after the other: the days after the first have no secret (a mock's values are made up
# anew when the plan has them already, so there are none here).
mock_provider "archive" {
  source          = "./tests/mocks/archive"
  override_during = plan
}

mock_provider "google" {
  source = "./tests/mocks/google"
}

variables {
  project_id   = "my-project"
  alert_emails = ["oncall@example.com"]
}

run "half_way" {
  variables {
    heron_api_key       = "key_test" # neither is written: "terraform test" applies no ephemeral variable that is left out
    heron_shared_secret = "sec_test"
  }

  plan_options {
    target = [google_secret_manager_secret.heron]
  }
}

run "a_second_later_1" {
  module {
    source = "./tests/second"
  }
}

run "taken_up_without_the_secret" {
  command = plan

  plan_options {
    target = [google_secret_manager_secret_version.heron]
  }

  expect_failures = [google_secret_manager_secret_version.heron]
}

run "taken_up_with_the_secret" {
  variables {
    heron_api_key       = "key_test" # as above
    heron_shared_secret = "sec_old\nsec_new"
  }

  plan_options {
    target = [google_secret_manager_secret_version.heron]
  }

  assert {
    condition     = google_secret_manager_secret_version.heron.secret_data == null && google_secret_manager_secret_version.heron.secret_data_wo == null
    error_message = "the secret is not in the state of what was applied"
  }
}

run "a_second_later_2" {
  module {
    source = "./tests/second"
  }
}

run "later_without_the_secret" {
  command = plan

  plan_options {
    target = [google_secret_manager_secret_version.heron]
  }

  assert {
    condition     = !local.secret_is_new && tostring(google_secret_manager_secret_version.heron.secret_data_wo_version) != local.planned_at
    error_message = "a later apply keeps the version that is there, and would write no placeholder"
  }
}

run "recover_without_its_key" {
  command = plan

  variables {
    recover = true
  }

  plan_options {
    target = [google_secret_manager_secret_version.api_key]
  }

  expect_failures = [google_secret_manager_secret_version.api_key]
}

run "recover_with_its_key" {
  variables {
    recover             = true
    heron_api_key       = "key_test"
    heron_shared_secret = "sec_test" # as above
  }

  plan_options {
    target = [google_secret_manager_secret_version.api_key]
  }

  assert {
    condition     = google_secret_manager_secret_version.api_key[0].secret_data == null && google_secret_manager_secret_version.api_key[0].secret_data_wo == null
    error_message = "the key is not in the state of what was applied"
  }
}

run "a_second_later_3" {
  module {
    source = "./tests/second"
  }
}

run "later_without_its_key" {
  command = plan

  variables {
    recover = true
  }

  plan_options {
    target = [google_secret_manager_secret_version.api_key]
  }

  assert {
    condition     = tostring(google_secret_manager_secret_version.api_key[0].secret_data_wo_version) != local.planned_at
    error_message = "a later apply keeps the version of the key that is there"
  }
}
