# Firestore: what is indexed, what is kept, what survives.
mock_provider "archive" {
  source          = "./tests/mocks/archive"
  override_during = plan
}

mock_provider "google" {
  source          = "./tests/mocks/google"
  override_during = plan
}

variables {
  project_id   = "my-project"
  alert_emails = ["oncall@example.com"]
}

run "defaults" {
  command = plan

  assert {
    condition = { for index in google_firestore_index.query : join(" ", concat([index.collection], [for field in index.fields : "${field.field_path} ${field.order}"])) => index.database } == {
      "end_users failing ASCENDING changed_at DESCENDING"         = "(default)"
      "end_users review_required ASCENDING changed_at DESCENDING" = "(default)"
      "end_users status ASCENDING changed_at DESCENDING"          = "(default)"
      "events heron_id ASCENDING created DESCENDING"              = "(default)"
      "events heron_id ASCENDING end_user_id ASCENDING"           = "(default)"
      "events topic DESCENDING recorded_at DESCENDING"            = "(default)"
      "events unrouted ASCENDING recorded_at DESCENDING"          = "(default)"
    }
    error_message = "a history is read newest first, end users by status latest change first, events listed and counted by topic and time"
  }

  assert {
    condition = { for field in google_firestore_field.setting : "${field.collection} ${field.field}" => join(", ", [for index in field.index_config[0].indexes : "${index.order != null ? index.order : index.array_config} ${index.query_scope}"]) } == {
      "body *"                           = ""
      "body end_user_id"                 = "ASCENDING COLLECTION_GROUP"
      "body expires_at"                  = ""
      "body heron_id"                    = "ASCENDING COLLECTION_GROUP"
      "end_users *"                      = ""
      "end_users changed_at"             = "DESCENDING COLLECTION"
      "end_users end_user_id"            = "ASCENDING COLLECTION"
      "end_users forgotten.end_user_ids" = "CONTAINS COLLECTION"
      "events *"                         = ""
      "events expires_at"                = ""
      "recoveries *"                     = ""
      "recoveries expires_at"            = ""
    }
    error_message = "what no query uses is not indexed"
  }

  assert {
    condition     = alltrue([for index in google_firestore_index.query : !contains(["created", "received_at", "recorded_at"], index.fields[0].field_path) if index.collection == "events"])
    error_message = "no index of the log begins with a time: it would cap the log at 500 events a second"
  }

  assert {
    condition = (
      google_firestore_database.events.delete_protection_state == "DELETE_PROTECTION_ENABLED" &&
      google_firestore_database.events.point_in_time_recovery_enablement == "POINT_IN_TIME_RECOVERY_ENABLED" &&
      google_firestore_database.events.concurrency_mode == "OPTIMISTIC" &&
      google_firestore_database.events.type == "FIRESTORE_NATIVE" &&
      google_firestore_database.events.location_id == "us-east1"
    )
    error_message = "the database is protected, holds no locks, can be read as it was, and lies in the region"
  }

  assert {
    condition     = { for database, schedule in google_firestore_backup_schedule.daily : database => schedule.retention } == { "(default)" = "1209600s" }
    error_message = "a daily backup is kept for 14 days"
  }

  assert {
    condition     = strcontains(google_firebaserules_ruleset.deny_all.source[0].files[0].content, "allow read, write: if false;") && google_firebaserules_release.deny_all["(default)"].name == "cloud.firestore"
    error_message = "the rules let nobody in"
  }

  assert {
    condition     = toset([for field in google_firestore_field.setting : "${field.collection} ${field.field}" if length(field.ttl_config) == 1]) == toset(["body expires_at", "events expires_at", "recoveries expires_at"])
    error_message = "what has a time to go, goes"
  }

  assert {
    condition     = !contains(keys(google_cloudfunctions2_function.projector.service_config[0].environment_variables), "EVENT_RETENTION_DAYS")
    error_message = "the log is kept for good unless a retention is asked for"
  }
}

run "retention" {
  command = plan

  variables {
    backup_retention_days  = null
    event_retention_days   = 400
    point_in_time_recovery = false
  }

  assert {
    condition     = google_cloudfunctions2_function.projector.service_config[0].environment_variables.EVENT_RETENTION_DAYS == "400"
    error_message = "the projector knows when"
  }

  assert {
    condition     = length(google_firestore_backup_schedule.daily) == 0 && google_firestore_database.events.point_in_time_recovery_enablement == "POINT_IN_TIME_RECOVERY_DISABLED"
    error_message = "backups and point-in-time recovery are options"
  }
}

run "restored" {
  command = plan

  variables {
    restored_database = "heron-restored"
  }

  assert {
    condition = (
      google_cloudfunctions2_function.projector.service_config[0].environment_variables.FIRESTORE_DATABASE == "heron-restored" &&
      google_cloudfunctions2_function.query.service_config[0].environment_variables.FIRESTORE_DATABASE == "heron-restored" &&
      strcontains(google_project_iam_member.projector_store.condition[0].expression, "databases/heron-restored\"") &&
      strcontains(google_project_iam_member.query_store.condition[0].expression, "databases/heron-restored\"")
    )
    error_message = "the functions use the restored database, and may"
  }

  assert {
    condition     = google_firestore_database.events.name == "(default)" && toset(keys(google_firestore_backup_schedule.daily)) == toset(["(default)", "heron-restored"])
    error_message = "the lost database stays, and the restored one is backed up as well"
  }

  assert {
    condition     = google_firebaserules_release.deny_all["heron-restored"].name == "cloud.firestore/heron-restored"
    error_message = "a backup has no rules: the restored database gets them"
  }

  assert {
    condition     = alltrue([for index in google_firestore_index.query : index.database == "(default)"])
    error_message = "a restored database has its composite indexes from the backup"
  }
}
