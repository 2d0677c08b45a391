mock_data "google_project" {
  defaults = { number = "123456789012" }
}

mock_resource "google_secret_manager_secret" {
  defaults = { create_time = "2026-01-01T00:00:00.123456Z" }
}

mock_resource "google_cloudfunctions2_function" {
  defaults = { service_config = { uri = "https://function.run.app" } }
}

mock_resource "google_monitoring_notification_channel" {
  defaults = { name = "projects/my-project/notificationChannels/made" }
}

override_resource {
  target          = google_service_account.build
  override_during = plan
  values          = { email = "fn-build@test", id = "projects/test/serviceAccounts/fn-build@test" }
}

override_resource {
  target          = google_service_account.function["ingest"]
  override_during = plan
  values          = { email = "fn-ingest@test" }
}

override_resource {
  target          = google_service_account.function["projector"]
  override_during = plan
  values          = { email = "fn-projector@test" }
}

override_resource {
  target          = google_service_account.function["query"]
  override_during = plan
  values          = { email = "fn-query@test" }
}

override_resource {
  target          = google_service_account.subscriber["projector"]
  override_during = plan
  values          = { email = "sub-projector@test", name = "sub-projector" }
}

override_resource {
  target          = google_service_account.subscriber["underwriting"]
  override_during = plan
  values          = { email = "sub-underwriting@test", name = "sub-underwriting" }
}

override_resource {
  target          = google_service_account.subscriber["warehouse"]
  override_during = plan
  values          = { email = "sub-warehouse@test", name = "sub-warehouse" }
}
