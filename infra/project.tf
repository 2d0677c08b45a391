locals {
  labels = merge({ app = "heron-webhooks" }, var.labels)

  # Pub/Sub's own agent. Google makes it at the API's first use in a project, and a grant to an account that does not
  # exist is refused: whatever is granted to it waits for the dead-letter subscriptions, which need no grant themselves.
  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

data "google_project" "this" {
  project_id = var.project_id

  depends_on = [google_project_service.resource_manager]
}

# By itself, for reading the project must wait for this one alone: if it waited for the list below, adding an API would
# make the project's number unknown to the plan, and every grant that names it would be made anew.
resource "google_project_service" "resource_manager" {
  service            = "cloudresourcemanager.googleapis.com"
  disable_on_destroy = false
}

# Activation is eventually consistent: everything below waits for it.
resource "google_project_service" "api" {
  for_each = toset(concat([
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "firebaserules.googleapis.com",
    "firestore.googleapis.com",
    "iam.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "storage.googleapis.com",
  ], var.recover ? ["cloudscheduler.googleapis.com"] : []))

  service            = each.value
  disable_on_destroy = false # something else in the project may use it

  depends_on = [google_project_service.resource_manager]
}
