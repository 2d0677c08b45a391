# The secret goes to Secret Manager and nowhere else.
mock_provider "archive" {
  source          = "./tests/mocks/archive"
  override_during = plan
}

mock_provider "google" {
  source          = "./tests/mocks/google"
  override_during = plan
}

variables {
  project_id          = "my-project"
  alert_emails        = ["oncall@example.com"]
  heron_shared_secret = "sec_old\nsec_new"
}

run "given" {
  command = plan

  assert {
    condition     = google_secret_manager_secret_version.heron.secret_data == null && google_secret_manager_secret_version.heron.secret_data_wo == null
    error_message = "the secret is in no plan and no state"
  }

  assert {
    condition     = google_secret_manager_secret_version.heron.deletion_policy == "ABANDON"
    error_message = "Terraform never destroys a version"
  }

  assert {
    condition = alltrue([for function in [google_cloudfunctions2_function.ingest, google_cloudfunctions2_function.projector, google_cloudfunctions2_function.query] :
    length(function.service_config[0].secret_environment_variables) == 0 && !strcontains(jsonencode(function.service_config[0].environment_variables), "sec_")])
    error_message = "no function has the secret in its environment"
  }

  assert {
    condition = alltrue([for volume in google_cloudfunctions2_function.ingest.service_config[0].secret_volumes : alltrue([
      volume.secret == "heron-shared-secret",
      volume.versions[0].version == "latest",
      "${volume.mount_path}/${volume.versions[0].path}" == google_cloudfunctions2_function.ingest.service_config[0].environment_variables.HERON_SHARED_SECRET_FILE,
    ])]) && length(google_cloudfunctions2_function.ingest.service_config[0].secret_volumes) == 1
    error_message = "ingest finds the newest version where HERON_SHARED_SECRET_FILE says"
  }

  assert {
    condition     = length(google_cloudfunctions2_function.projector.service_config[0].secret_volumes) + length(google_cloudfunctions2_function.query.service_config[0].secret_volumes) == 0
    error_message = "no other function has the secret"
  }
}

run "left_out_at_first" {
  command = plan

  variables {
    heron_shared_secret = null
  }

  assert {
    condition     = local.secret_is_new
    error_message = "the apply that makes the secret may write a placeholder, so that functions can be deployed"
  }
}

run "empty" {
  command = plan

  variables {
    heron_shared_secret = " \n"
  }

  expect_failures = [var.heron_shared_secret]
}
