mock_data "google_project" {
  defaults = { number = "123456789012" }
}

mock_resource "google_artifact_registry_repository" {
  defaults = { id = "projects/my-project/locations/us-east1/repositories/heron-functions" }
}

mock_resource "google_cloudfunctions2_function" {
  defaults = { service_config = { uri = "https://function.run.app" } }
}

mock_resource "google_monitoring_notification_channel" {
  defaults = { name = "projects/my-project/notificationChannels/made" }
}

mock_resource "google_service_account" {
  defaults = {
    email = "made@my-project.iam.gserviceaccount.com"
    id    = "projects/my-project/serviceAccounts/made@my-project.iam.gserviceaccount.com"
    name  = "projects/my-project/serviceAccounts/made@my-project.iam.gserviceaccount.com"
  }
}

override_resource {
  target          = google_service_account.build
  override_during = plan
  values = {
    email = "fn-build@my-project.iam.gserviceaccount.com"
    id    = "projects/my-project/serviceAccounts/fn-build@my-project.iam.gserviceaccount.com"
  }
}

override_resource {
  target          = google_service_account.function["ingest"]
  override_during = plan
  values = {
    email = "fn-ingest@my-project.iam.gserviceaccount.com"
  }
}

override_resource {
  target          = google_service_account.function["projector"]
  override_during = plan
  values = {
    email = "fn-projector@my-project.iam.gserviceaccount.com"
  }
}

override_resource {
  target          = google_service_account.function["query"]
  override_during = plan
  values = {
    email = "fn-query@my-project.iam.gserviceaccount.com"
  }
}

override_resource {
  target          = google_service_account.function["recover"]
  override_during = plan
  values = {
    email = "fn-recover@my-project.iam.gserviceaccount.com"
  }
}

override_resource {
  target          = google_service_account.scheduler[0]
  override_during = plan
  values = {
    email = "call-recover@my-project.iam.gserviceaccount.com"
  }
}

override_resource {
  target          = google_service_account.subscriber["notifications"]
  override_during = plan
  values = {
    email = "sub-notifications@my-project.iam.gserviceaccount.com"
    name  = "projects/my-project/serviceAccounts/sub-notifications@my-project.iam.gserviceaccount.com"
  }
}

override_resource {
  target          = google_service_account.subscriber["projector"]
  override_during = plan
  values = {
    email = "sub-projector@my-project.iam.gserviceaccount.com"
    name  = "projects/my-project/serviceAccounts/sub-projector@my-project.iam.gserviceaccount.com"
  }
}

override_resource {
  target          = google_service_account.subscriber["underwriting"]
  override_during = plan
  values = {
    email = "sub-underwriting@my-project.iam.gserviceaccount.com"
    name  = "projects/my-project/serviceAccounts/sub-underwriting@my-project.iam.gserviceaccount.com"
  }
}

override_resource {
  target          = google_service_account.subscriber["warehouse"]
  override_during = plan
  values = {
    email = "sub-warehouse@my-project.iam.gserviceaccount.com"
    name  = "projects/my-project/serviceAccounts/sub-warehouse@my-project.iam.gserviceaccount.com"
  }
}
