locals {
  database_name = coalesce(var.firestore_database, var.prefix == "" ? "(default)" : "${var.prefix}heron")

  # After a restore the functions use the restored database, and the one that was lost stays as it is.
  database_served = coalesce(var.restored_database, google_firestore_database.events.name)
  databases       = toset(compact([local.database_name, var.restored_database]))

  # Firestore has no IAM of its own below the project: this narrows a role to the one database.
  database_condition = {
    title      = "${var.prefix}heron-database"
    expression = "resource.name == \"projects/${var.project_id}/databases/${local.database_served}\""
  }

  # The indexes that the queries use (`__name__` follows by itself). Firestore would index every other field as well,
  # and each index costs on every write: the collections' default is none.
  indexes = { for index in jsondecode(file("${path.module}/indexes.json")) :
    join(".", [index.collection, join(".", index.fields[*][0])]) => index
  }

  # Settings of single fields: `*` is what a collection does by default.
  fields = merge(
    { for collection in ["body", "end_users", "events", "recoveries"] :
      "${collection}.*" => { collection = collection, field = "*", orders = [], scope = null, ttl = false }
    },
    { for key, index in local.indexes :
      key => { collection = index.collection, field = index.fields[0][0], orders = [index.fields[0][1]], scope = index.scope, ttl = false } if length(index.fields) == 1
    },
    # Canaries of `heron doctor` expire whatever the log keeps, and so does what `recover` has dealt with.
    { for collection in ["body", "events", "recoveries"] :
      "${collection}.expires_at" => { collection = collection, field = "expires_at", orders = [], scope = null, ttl = true }
    },
  )
}

resource "google_firestore_database" "events" {
  name                              = local.database_name
  location_id                       = coalesce(var.firestore_location, var.region)
  type                              = "FIRESTORE_NATIVE"
  concurrency_mode                  = "OPTIMISTIC" # a projector that dies in a transaction would hold its locks for a minute
  delete_protection_state           = "DELETE_PROTECTION_ENABLED"
  deletion_policy                   = "ABANDON"
  point_in_time_recovery_enablement = var.point_in_time_recovery ? "POINT_IN_TIME_RECOVERY_ENABLED" : "POINT_IN_TIME_RECOVERY_DISABLED"

  lifecycle {
    prevent_destroy = true # neither its name nor its location can change: Terraform would make an empty one instead
  }

  depends_on = [google_project_service.api]
}

# Destroy leaves the database; so does whoever made it before us. Once it is in the state, this does nothing more.
import {
  for_each = var.firestore_database_exists ? toset([local.database_name]) : []
  to       = google_firestore_database.events
  id       = "projects/${var.project_id}/databases/${each.value}"
}

# A restored database brings the composite indexes of its backup with it.
resource "google_firestore_index" "query" {
  for_each = { for key, index in local.indexes : key => index if length(index.fields) > 1 }

  database    = google_firestore_database.events.name
  collection  = each.value.collection
  query_scope = each.value.scope

  dynamic "fields" {
    for_each = each.value.fields

    content {
      field_path = fields.value[0]
      order      = fields.value[1]
    }
  }
}

resource "google_firestore_field" "setting" {
  for_each = merge([for database in local.databases : {
    for key, field in local.fields : "${database} ${key}" => merge(field, { database = database })
  }]...)

  database   = each.value.database
  collection = each.value.collection
  field      = each.value.field

  index_config {
    dynamic "indexes" {
      for_each = each.value.orders

      content {
        order        = indexes.value == "CONTAINS" ? null : indexes.value
        array_config = indexes.value == "CONTAINS" ? indexes.value : null
        query_scope  = each.value.scope
      }
    }
  }

  dynamic "ttl_config" {
    for_each = each.value.ttl ? [1] : []

    content {}
  }

  depends_on = [google_firestore_database.events]
}

# Browsers and phones have no business here. The functions' libraries go by IAM, which rules do not touch.
resource "google_firebaserules_ruleset" "deny_all" {
  source {
    files {
      name    = "firestore.rules"
      content = file("${path.module}/firestore.rules")
    }
  }

  depends_on = [google_firestore_database.events]
}

resource "google_firebaserules_release" "deny_all" {
  for_each = local.databases

  name         = each.value == "(default)" ? "cloud.firestore" : "cloud.firestore/${each.value}"
  ruleset_name = google_firebaserules_ruleset.deny_all.name

  lifecycle {
    replace_triggered_by = [google_firebaserules_ruleset.deny_all]
  }
}

resource "google_firestore_backup_schedule" "daily" {
  for_each = var.backup_retention_days == null ? [] : local.databases

  database  = each.value
  retention = "${var.backup_retention_days * 86400}s"

  daily_recurrence {}

  depends_on = [google_firestore_database.events]
}

resource "google_project_iam_member" "operator_store" {
  for_each = var.operators

  project = var.project_id
  role    = "roles/datastore.user"
  member  = each.value

  condition {
    title      = local.database_condition.title
    expression = local.database_condition.expression
  }

  depends_on = [google_project_service.api]
}
