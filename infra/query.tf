resource "google_cloudfunctions2_function" "query" {
  name        = "${var.prefix}query"
  description = local.functions.query
  location    = var.region

  build_config {
    runtime           = local.runtime
    entry_point       = "query"
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
    available_cpu                    = tostring(var.query.cpu)
    available_memory                 = "${var.query.memory_mib}Mi"
    max_instance_count               = var.query.max_instances
    max_instance_request_concurrency = var.query.concurrency
    min_instance_count               = var.query.min_instances
    timeout_seconds                  = 300         # `wait_for` waits up to 55 s; `/stream` is cut and taken up again
    ingress_settings                 = "ALLOW_ALL" # from anywhere, by IAM
    service_account_email            = google_service_account.function["query"].email
    all_traffic_on_latest_revision   = true

    environment_variables = merge(local.runtime_environment.query, local.environment, {
      FIRESTORE_DATABASE = local.database_served
    })
  }

  depends_on = [terraform_data.grants_settled]
}

resource "google_cloud_run_service_iam_member" "query" {
  for_each = setunion(var.operators, var.query_members)

  location = var.region
  service  = google_cloudfunctions2_function.query.name
  role     = "roles/run.invoker"
  member   = each.value

  lifecycle {
    replace_triggered_by = [google_cloudfunctions2_function.query.id]
  }
}

resource "google_project_iam_member" "query_store" {
  project = var.project_id
  role    = "roles/datastore.viewer"
  member  = "serviceAccount:${google_service_account.function["query"].email}"

  condition {
    title      = local.database_condition.title
    expression = local.database_condition.expression
  }
}
