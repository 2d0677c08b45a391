# What a real apply leaves behind (a mock's values are made up anew when the plan has them already).
mock_provider "archive" {}

mock_provider "google" {
  source = "./tests/mocks"
}

variables {
  project_id          = "my-project"
  heron_shared_secret = "sec_old\nsec_new"
}

run "made" {
  plan_options {
    target = [google_secret_manager_secret_version.heron]
  }

  assert {
    condition     = google_secret_manager_secret_version.heron.secret_data == null && google_secret_manager_secret_version.heron.secret_data_wo == null
    error_message = "the secret is not in the state of what was applied"
  }
}
