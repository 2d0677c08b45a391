# The only public part. It reads the body, checks the signature, publishes.
resource "google_cloudfunctions2_function" "ingest" {
  name        = "${var.prefix}ingest"
  description = local.functions.ingest
  location    = var.region

  build_config {
    runtime           = local.runtime
    entry_point       = "ingest"
    docker_repository = google_artifact_registry_repository.functions.id
    service_account   = google_service_account.build.id

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.source.name
      }
    }
  }

  service_config {
    available_cpu                    = tostring(var.ingest.cpu)
    available_memory                 = "${var.ingest.memory_mib}Mi"
    max_instance_count               = var.ingest.max_instances
    max_instance_request_concurrency = var.ingest.concurrency
    min_instance_count               = var.ingest.min_instances
    timeout_seconds                  = 10 # Heron hangs up then; ingest itself answers within 6.5 s
    ingress_settings                 = var.ingest_behind_load_balancer ? "ALLOW_INTERNAL_AND_GCLB" : "ALLOW_ALL"
    service_account_email            = google_service_account.function["ingest"].email
    all_traffic_on_latest_revision   = true

    environment_variables = merge(local.runtime_environment.ingest, local.environment, {
      HERON_SHARED_SECRET_FILE = "/secrets/heron-shared-secret"
      LOG_SAMPLING             = tostring(var.log_sampling)
      TOPIC_PREFIX             = var.prefix
    })

    # `latest`, mounted: each read of the file asks Secret Manager, so a new version needs no deployment.
    secret_volumes {
      mount_path = "/secrets"
      project_id = var.project_id
      secret     = google_secret_manager_secret.heron.secret_id

      versions {
        version = "latest"
        path    = "heron-shared-secret"
      }
    }
  }

  # It answers 200 once a topic has the event: every subscription is there before it, or what it takes would be nowhere.
  depends_on = [
    google_pubsub_subscription.dead_letter,
    google_pubsub_subscription.subscriber,
    google_secret_manager_secret_version.heron,
    terraform_data.grants_settled,
  ]
}

# Heron signs its webhooks and has no Google account: the signature is the lock, and this opens the door to it.
resource "google_cloud_run_service_iam_member" "ingest_public" {
  for_each = toset(var.ingest_public ? ["allUsers"] : [])

  location = var.region
  service  = google_cloudfunctions2_function.ingest.name
  role     = "roles/run.invoker"
  member   = each.value

  lifecycle {
    replace_triggered_by = [google_cloudfunctions2_function.ingest.id] # a new service forgets its grants
  }
}
