# The secret that Heron signs with. Terraform writes its first version and never looks at it again: everything after
# that is `gcloud secrets versions add`, which ingest notices within 60 s without a deployment.
locals {
  # What is made by this very plan has this time, and what was made before keeps its own.
  planned_at = formatdate("YYYYMMDDhhmmss", plantimestamp())
}

resource "google_secret_manager_secret" "heron" {
  secret_id           = "${var.prefix}heron-shared-secret"
  version_destroy_ttl = "604800s" # a destroyed version can be had back for a week
  annotations         = { planned_at = local.planned_at }

  replication {
    auto {}
  }

  lifecycle {
    ignore_changes = [annotations]
  }

  depends_on = [google_project_service.api]
}

locals {
  secret_is_new = google_secret_manager_secret.heron.annotations.planned_at == local.planned_at
}

resource "google_secret_manager_secret_version" "heron" {
  secret = google_secret_manager_secret.heron.id

  # Write-only: it goes to Google and into no plan or state. A function cannot be deployed before its secret has a
  # version, so the apply that makes the secret writes a random one that nobody knows where it is given none: every
  # webhook gets 401 until the real one. Later there is nothing to write (null is not accepted).
  secret_data_wo         = var.heron_shared_secret != null ? var.heron_shared_secret : local.secret_is_new ? "sec_placeholder_${uuid()}" : ""
  secret_data_wo_version = local.planned_at
  deletion_policy        = "ABANDON"

  lifecycle {
    # A rotation disables old versions, and Terraform must not enable them again.
    ignore_changes = [enabled, secret_data_wo_version]

    # The provider forgets a version that somebody destroyed and plans it anew: as the newest, a placeholder would lock
    # Heron out.
    postcondition {
      condition     = var.heron_shared_secret != null || local.secret_is_new || tostring(self.secret_data_wo_version) != local.planned_at
      error_message = "${google_secret_manager_secret.heron.secret_id}: the version that Terraform once wrote is not there (an apply stopped before it, or somebody destroyed it), and it has no value to write. Pass the secret that Heron signs with today, this once: TF_VAR_heron_shared_secret=sec_… terraform apply. Several, one a line, during a rotation."
    }
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
