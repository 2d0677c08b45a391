# Pub/Sub pushes every event here: one function, all topics.
resource "google_cloudfunctions2_function" "projector" {
  name        = "${var.prefix}projector"
  description = local.functions.projector
  location    = var.region

  build_config {
    runtime           = local.runtime
    entry_point       = "projector"
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
    available_cpu                    = tostring(var.projector.cpu)
    available_memory                 = "${var.projector.memory_mib}Mi"
    max_instance_count               = var.projector.max_instances
    max_instance_request_concurrency = var.projector.concurrency
    min_instance_count               = var.projector.min_instances
    timeout_seconds                  = local.delivery.ack_deadline_seconds # a push's own limit
    ingress_settings                 = "ALLOW_INTERNAL_ONLY"               # Pub/Sub of this project counts as internal
    service_account_email            = google_service_account.function["projector"].email
    all_traffic_on_latest_revision   = true

    environment_variables = merge(local.runtime_environment.projector, local.environment, {
      FIRESTORE_DATABASE = local.database_served
      LOG_SAMPLING       = tostring(var.log_sampling)
      TOPIC_PREFIX       = var.prefix
    }, var.event_retention_days == null ? {} : { EVENT_RETENTION_DAYS = tostring(var.event_retention_days) })
  }

  depends_on = [terraform_data.grants_settled]
}

resource "google_cloud_run_service_iam_member" "projector_push" {
  location = var.region
  service  = google_cloudfunctions2_function.projector.name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${google_service_account.subscriber["projector"].email}"

  lifecycle {
    replace_triggered_by = [google_cloudfunctions2_function.projector.id]
  }
}

resource "google_project_iam_member" "projector_store" {
  project = var.project_id
  role    = "roles/datastore.user"
  member  = "serviceAccount:${google_service_account.function["projector"].email}"

  condition {
    title      = local.database_condition.title
    expression = local.database_condition.expression
  }
}

# What can never succeed it puts there itself, with the reason.
resource "google_pubsub_topic_iam_member" "projector_dead_letter" {
  topic  = google_pubsub_topic.dead_letter["projector"].name
  role   = "roles/pubsub.publisher"
  member = "serviceAccount:${google_service_account.function["projector"].email}"
}
