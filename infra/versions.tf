terraform {
  required_version = ">= 1.11"

  required_providers {
    archive = {
      source  = "hashicorp/archive"
      version = ">= 2.7, < 3"
    }
    google = {
      source  = "hashicorp/google"
      version = ">= 7.33, < 8" # deletion_policy of subscriptions
    }
  }
}

provider "google" {
  project        = var.project_id
  region         = var.region
  default_labels = local.labels

  # A person's credentials have a project of their own in Google's books, and some APIs refuse them for it: name ours.
  billing_project       = var.project_id
  user_project_override = true
}
