# The secret that Heron signs with. Terraform writes its first version and never looks at it again: everything after
# that is `gcloud secrets versions add`, which ingest notices within 60 s without a deployment.
resource "google_secret_manager_secret" "heron" {
  secret_id           = "${var.prefix}heron-shared-secret"
  version_destroy_ttl = "604800s" # a destroyed version can be had back for a week

  replication {
    auto {}
  }

  depends_on = [google_project_service.api]
}

locals {
  # The provider forgets a version that somebody destroyed, and makes it anew. Only in the apply that makes the secret
  # itself may a placeholder be written; later it would become `latest` and lock Heron out, so an apply that finds
  # version 1 destroyed has nothing to write, and Secret Manager refuses it.
  secret_is_new = timecmp(timeadd(google_secret_manager_secret.heron.create_time, "1h"), plantimestamp()) > 0
}

resource "google_secret_manager_secret_version" "heron" {
  secret = google_secret_manager_secret.heron.id

  # Write-only: it goes to Google and into no plan or state. A function cannot be deployed before its secret has a
  # version, so without a value a random one is written that nobody knows: every webhook gets 401 until the real one.
  secret_data_wo         = var.heron_shared_secret != null ? var.heron_shared_secret : local.secret_is_new ? "sec_placeholder_${uuid()}" : null
  secret_data_wo_version = 1
  deletion_policy        = "ABANDON"

  lifecycle {
    ignore_changes = [enabled] # a rotation disables old versions, and Terraform must not enable them again
  }
}

resource "google_secret_manager_secret_iam_member" "ingest" {
  secret_id = google_secret_manager_secret.heron.id
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${google_service_account.function["ingest"].email}"
}

# Operators read it, and add and disable versions.
resource "google_secret_manager_secret_iam_member" "operator" {
  for_each = { for grant in setproduct(var.operators, ["secretAccessor", "secretVersionManager"]) : join(" ", grant) => grant }

  secret_id = google_secret_manager_secret.heron.id
  role      = "roles/secretmanager.${each.value[1]}"
  member    = each.value[0]
}
