# Brings in what Heron failed to deliver and gave up, by Heron's API; runs by itself, and only where there is a key of it.
locals {
  # A run ends by itself after 540 s (functions/recover/handler.ts), and its answer takes a moment.
  recover_seconds = 600
}

resource "google_cloudfunctions2_function" "recover" {
  count = var.recover ? 1 : 0

  name        = "${var.prefix}recover"
  description = local.functions.recover
  location    = var.region

  build_config {
    runtime           = local.runtime
    entry_point       = "recover"
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
    available_cpu                    = "1"
    available_memory                 = "1024Mi" # an answer of Heron's has at most 64 MB, and is held as bytes, as text and parsed
    max_instance_count               = 1
    max_instance_request_concurrency = 1
    min_instance_count               = 0
    timeout_seconds                  = local.recover_seconds
    ingress_settings                 = "ALLOW_INTERNAL_ONLY" # Cloud Scheduler of this project counts as internal
    service_account_email            = google_service_account.function["recover"].email
    all_traffic_on_latest_revision   = true

    environment_variables = merge(local.runtime_environment.recover, local.environment, {
      FIRESTORE_DATABASE = local.database_served
      HERON_API_KEY_FILE = "/secrets/heron-api-key"
      TOPIC_PREFIX       = var.prefix
    })

    secret_volumes {
      mount_path = "/secrets"
      project_id = var.project_id
      secret     = google_secret_manager_secret.api_key[0].secret_id

      versions {
        version = "latest"
        path    = "heron-api-key"
      }
    }
  }

  # As ingest, it takes an event for safe once a topic has it.
  depends_on = [
    google_pubsub_subscription.dead_letter,
    google_pubsub_subscription.subscriber,
    google_secret_manager_secret_version.api_key,
    terraform_data.grants_settled,
  ]
}

# The key of Heron's API. Like the secret of its webhooks (secret.tf): written once, never looked at again, rotated with
# `gcloud secrets versions add`. But no placeholder: without a key there is nothing to run.
resource "google_secret_manager_secret" "api_key" {
  count = var.recover ? 1 : 0

  secret_id           = "${var.prefix}heron-api-key"
  version_destroy_ttl = "604800s"

  replication {
    auto {}
  }

  depends_on = [google_project_service.api]
}

resource "google_secret_manager_secret_version" "api_key" {
  count = var.recover ? 1 : 0

  secret                 = google_secret_manager_secret.api_key[0].id
  secret_data_wo         = var.heron_api_key != null ? var.heron_api_key : ""
  secret_data_wo_version = local.planned_at
  deletion_policy        = "ABANDON"

  lifecycle {
    ignore_changes = [enabled, secret_data_wo_version]

    # What is made by this very plan has its time.
    postcondition {
      condition     = var.heron_api_key != null || tostring(self.secret_data_wo_version) != local.planned_at
      error_message = "${google_secret_manager_secret.api_key[0].secret_id} has no version that Terraform wrote (this is the first apply with recover, or it stopped before it, or somebody destroyed the version), and there is no key to write. Pass your key of Heron's API, this once: TF_VAR_heron_api_key=… terraform apply. Without one: recover = false."
    }
  }
}

resource "google_secret_manager_secret_iam_member" "recover" {
  count = var.recover ? 1 : 0

  secret_id = google_secret_manager_secret.api_key[0].id
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${google_service_account.function["recover"].email}"
}

resource "google_secret_manager_secret_iam_member" "operator_api_key" {
  for_each = { for grant in setproduct(var.recover ? var.operators : [], ["secretAccessor", "secretVersionManager"]) : join(" ", grant) => grant }

  secret_id = google_secret_manager_secret.api_key[0].id
  role      = "roles/secretmanager.${each.value[1]}"
  member    = each.value[0]
}

# Where ingest publishes what Heron sends.
resource "google_pubsub_topic_iam_member" "recover" {
  for_each = { for topic, made in google_pubsub_topic.event : topic => made if var.recover && topic != "doctor.canary" }

  topic  = each.value.name
  role   = "roles/pubsub.publisher"
  member = "serviceAccount:${google_service_account.function["recover"].email}"
}

# It looks in the log, and keeps what it has dealt with in `recoveries` and `upkeep`: Firestore tells no collections apart.
resource "google_project_iam_member" "recover_store" {
  count = var.recover ? 1 : 0

  project = var.project_id
  role    = "roles/datastore.user"
  member  = "serviceAccount:${google_service_account.function["recover"].email}"

  condition {
    title      = local.database_condition.title
    expression = local.database_condition.expression
  }
}

# Who calls it, and can do nothing else.
resource "google_service_account" "scheduler" {
  count = var.recover ? 1 : 0

  account_id   = "${var.prefix}call-recover"
  display_name = "Cloud Scheduler, calling recover"

  depends_on = [google_project_service.api]
}

resource "google_cloud_run_service_iam_member" "recover_call" {
  count = var.recover ? 1 : 0

  location = var.region
  service  = google_cloudfunctions2_function.recover[0].name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${google_service_account.scheduler[0].email}"

  lifecycle {
    replace_triggered_by = [google_cloudfunctions2_function.recover[0].id]
  }
}

# Heron gives up after 21 minutes and keeps what failed for 7 days. What one run leaves is the next one's: none is tried
# again, which is Cloud Scheduler's default.
resource "google_cloud_scheduler_job" "recover" {
  count = var.recover ? 1 : 0

  name             = "${var.prefix}recover"
  description      = local.functions.recover
  region           = var.region
  schedule         = "*/15 * * * *"
  time_zone        = "Etc/UTC"
  attempt_deadline = "${local.recover_seconds}s"

  http_target {
    uri         = google_cloudfunctions2_function.recover[0].service_config[0].uri
    http_method = "POST"

    oidc_token {
      audience              = google_cloudfunctions2_function.recover[0].service_config[0].uri
      service_account_email = google_service_account.scheduler[0].email
    }
  }

  depends_on = [google_cloud_run_service_iam_member.recover_call]
}
