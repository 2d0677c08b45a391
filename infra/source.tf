locals {
  root = "${path.module}/.."

  # What is deployed, by name, so that nothing else that lies about in a checkout ever is.
  source_files = concat(["package.json", "package-lock.json"], sort([for file in fileset(local.root, "functions/**") : file if !strcontains(file, "/.") && !startswith(file, "functions/built/")]))

  # Google builds from a copy of the archive in a bucket of its own.
  build_buckets = [google_storage_bucket.source.name, "gcf-v2-sources-${data.google_project.this.number}-${var.region}"]
}

# Its hash depends on the contents alone: no times, one file mode.
data "archive_file" "source" {
  type             = "zip"
  output_path      = "${path.module}/.build/${var.prefix}functions.zip"
  output_file_mode = "0644"

  dynamic "source" {
    for_each = local.source_files

    content {
      filename = source.value
      content  = file("${local.root}/${source.value}")
    }
  }
}

resource "google_storage_bucket" "source" {
  name                        = "${var.project_id}-${var.prefix}heron-source"
  location                    = var.region
  force_destroy               = true
  public_access_prevention    = "enforced"
  uniform_bucket_level_access = true

  depends_on = [google_project_service.api]
}

# The same name does not deploy again: the name has the hash.
resource "google_storage_bucket_object" "source" {
  name   = "functions-${data.archive_file.source.output_sha256}.zip"
  bucket = google_storage_bucket.source.name
  source = data.archive_file.source.output_path
}

# Where builds leave their images. Google would make a repository of its own at the first build, for which first builds at
# once race, and which keeps every image for good.
resource "google_artifact_registry_repository" "functions" {
  repository_id = "${var.prefix}heron-functions"
  description   = "Images of the functions"
  location      = var.region
  format        = "DOCKER"

  # What is kept by one policy is not deleted by another; ten are as many deployments of a function to go back to.
  cleanup_policies {
    id     = "keep-newest"
    action = "KEEP"

    most_recent_versions {
      keep_count = 10
    }
  }

  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"

    condition {
      older_than = "2592000s" # 30 days
      tag_state  = "ANY"
    }
  }

  depends_on = [google_project_service.api]
}

# Builds run as this account, which can do nothing else, and not as the project's default one.
resource "google_service_account" "build" {
  account_id   = "${var.prefix}fn-build"
  display_name = "Builds the functions from source"

  depends_on = [google_project_service.api]
}

# Artifact Registry knows no conditions on names (a grant with one is none), so the right to write images is one on the
# project, until somebody grants it on the repository itself.
resource "google_project_iam_member" "build" {
  for_each = toset(concat(["roles/logging.logWriter"], var.build_repository_granted ? [] : ["roles/artifactregistry.writer"]))

  project = var.project_id
  role    = each.value
  member  = "serviceAccount:${google_service_account.build.email}"
}

resource "google_project_iam_member" "build_source" {
  project = var.project_id
  role    = "roles/storage.objectViewer"
  member  = "serviceAccount:${google_service_account.build.email}"

  condition {
    title      = "${var.prefix}heron-source"
    expression = join(" || ", [for bucket in local.build_buckets : "resource.name.startsWith(\"projects/_/buckets/${bucket}/\")"])
  }
}

# What a deployment checks or uses at once, and IAM takes up to a minute to believe.
resource "terraform_data" "grants_settled" {
  triggers_replace = [google_service_account.build.unique_id, values(google_service_account.function)[*].unique_id, keys(google_pubsub_topic_iam_member.ingest)]

  provisioner "local-exec" {
    command = "sleep 60"
  }

  depends_on = [
    google_project_iam_member.build,
    google_project_iam_member.build_source,
    google_pubsub_topic_iam_member.ingest,
    google_pubsub_topic_iam_member.recover,
    google_secret_manager_secret_iam_member.ingest,
    google_secret_manager_secret_iam_member.recover,
  ]
}
