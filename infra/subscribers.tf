# How an event reaches a service. The projector is a subscriber like any other.
locals {
  projector = {
    kind                  = "push"
    topics                = ["*", "unrouted", "doctor.canary"] # the last is nobody else's
    filter                = null
    push_endpoint         = google_cloudfunctions2_function.projector.service_config[0].uri
    push_audience         = google_cloudfunctions2_function.projector.service_config[0].uri
    wrapped               = true # an unwrapped body need not be UTF-8, which HTTP headers cannot tell
    paused                = false
    pull_members          = []
    service_accounts      = []
    bigquery_table        = null
    ack_deadline_seconds  = null
    alert_unacked_minutes = 30
  }

  services = { for name, service in var.subscribers : name => merge(service, {
    kind                  = service.push_endpoint != null ? "push" : service.bigquery_table != null ? "bigquery" : "pull"
    push_audience         = try(coalesce(service.push_audience, service.push_endpoint), null)
    service_accounts      = [for account in service.service_accounts : "serviceAccount:${trimprefix(account, "serviceAccount:")}"]
    alert_unacked_minutes = service.paused ? 5 * 24 * 60 : service.alert_unacked_minutes # its events are kept for 7 days
  }) }

  subscribers = merge(local.services, { projector = local.projector })
  kinds       = { for kind in ["bigquery", "pull", "push"] : kind => toset([for name, subscriber in local.subscribers : name if subscriber.kind == kind]) }

  # What each is told of: a pattern stands for those of Heron's topics that it matches.
  topics = { for name, subscriber in local.subscribers : name => distinct(flatten([
    for entry in subscriber.topics : strcontains(entry, "*") ? regexall("(?m)^\\Q${replace(entry, "*", "\\E.*\\Q")}\\E$", join("\n", local.heron_topics)) : [entry]
  ])) }

  event_subscriptions = { for pair in flatten([for name, topics in local.topics : [for topic in topics : { name = name, topic = topic }]]) :
    "${pair.name}.${pair.topic}" => {
      subscriber = pair.name
      topic      = google_pubsub_topic.event[pair.topic].name
      filter     = local.subscribers[pair.name].filter
    }
  }

  # What is sent again to one alone. Without a filter: it may be older than the filter, and Pub/Sub would throw it away.
  replay_subscriptions = { for name in keys(local.subscribers) :
    "replay.${name}" => { subscriber = name, topic = google_pubsub_topic.replay[name].name, filter = null }
  }

  subscriptions = merge(local.event_subscriptions, local.replay_subscriptions)

  pullers = { for name in local.kinds.pull : name => setunion(local.subscribers[name].pull_members, local.subscribers[name].service_accounts) }
  pull_grants = { for grant in flatten([
    for key, subscription in local.subscriptions : [for member in lookup(local.pullers, subscription.subscriber, []) : { subscription = key, member = member }]
  ]) : "${grant.subscription} ${grant.member}" => grant }

  discard_grants = { for grant in flatten([
    for name, subscriber in local.subscribers : [for member in subscriber.service_accounts : { subscriber = name, member = member }]
  ]) : "${grant.subscriber} ${grant.member}" => grant }

  # project.dataset.table
  tables = { for name in local.kinds.bigquery : name => split(".", local.subscribers[name].bigquery_table) }
}

# Who Pub/Sub pushes or writes as. Whoever pulls comes with an identity of its own.
resource "google_service_account" "subscriber" {
  for_each = setunion(local.kinds.bigquery, local.kinds.push)

  account_id   = "${var.prefix}sub-${each.value}"
  display_name = "Pub/Sub, delivering to ${each.value}"

  depends_on = [google_project_service.api]
}

resource "google_pubsub_subscription" "subscriber" {
  for_each = local.subscriptions

  name                       = "${var.prefix}${each.key}"
  topic                      = each.value.topic
  filter                     = each.value.filter
  ack_deadline_seconds       = coalesce(local.subscribers[each.value.subscriber].ack_deadline_seconds, local.delivery.ack_deadline_seconds)
  message_retention_duration = "604800s"
  deletion_policy            = var.deletion_protection ? "PREVENT" : "DELETE"

  expiration_policy {
    ttl = "" # never: it would vanish after 31 idle days
  }

  retry_policy {
    minimum_backoff = "${local.delivery.minimum_backoff_seconds}s"
    maximum_backoff = "${local.delivery.maximum_backoff_seconds}s"
  }

  dead_letter_policy {
    dead_letter_topic     = "projects/${var.project_id}/topics/${google_pubsub_topic.dead_letter[each.value.subscriber].name}"
    max_delivery_attempts = local.delivery.max_delivery_attempts
  }

  dynamic "push_config" {
    for_each = contains(local.kinds.push, each.value.subscriber) && !local.subscribers[each.value.subscriber].paused ? [local.subscribers[each.value.subscriber]] : []

    content {
      push_endpoint = push_config.value.push_endpoint

      oidc_token {
        audience              = push_config.value.push_audience
        service_account_email = google_service_account.subscriber[each.value.subscriber].email
      }

      # The body is the request's, and the attributes are its headers: a CloudEvent over HTTP.
      dynamic "no_wrapper" {
        for_each = push_config.value.wrapped ? [] : [1]

        content {
          write_metadata = true
        }
      }
    }
  }

  dynamic "bigquery_config" {
    for_each = contains(local.kinds.bigquery, each.value.subscriber) ? [local.subscribers[each.value.subscriber]] : []

    content {
      table                 = bigquery_config.value.bigquery_table
      service_account_email = google_service_account.subscriber[each.value.subscriber].email
      write_metadata        = true # subscription_name, message_id, publish_time and attributes, beside data
    }
  }

  # Pub/Sub checks at once that it may write the table.
  depends_on = [google_service_account_iam_member.pubsub_agent, terraform_data.table_granted]
}

# IAM takes some minutes to believe a grant on a table.
resource "terraform_data" "table_granted" {
  for_each = local.tables

  triggers_replace = [each.value, google_service_account.subscriber[each.key].unique_id]

  provisioner "local-exec" {
    command = "sleep 120"
  }

  depends_on = [google_bigquery_table_iam_member.subscriber, google_service_account_iam_member.pubsub_agent]
}

resource "google_pubsub_subscription_iam_member" "puller" {
  for_each = local.pull_grants

  subscription = google_pubsub_subscription.subscriber[each.value.subscription].name
  role         = "roles/pubsub.subscriber"
  member       = each.value.member

  lifecycle {
    replace_triggered_by = [terraform_data.pulled[each.key]]
  }
}

# A subscription that is made anew (its filter cannot be changed) forgets its grants.
resource "terraform_data" "pulled" {
  for_each = local.pull_grants

  triggers_replace = google_pubsub_subscription.subscriber[each.value.subscription].id
}

# What a service discards goes there at once, with its reason.
resource "google_pubsub_topic_iam_member" "discard" {
  for_each = local.discard_grants

  topic  = google_pubsub_topic.dead_letter[each.value.subscriber].name
  role   = "roles/pubsub.publisher"
  member = each.value.member
}

resource "google_bigquery_table_iam_member" "subscriber" {
  for_each = local.tables

  project    = each.value[0]
  dataset_id = each.value[1]
  table_id   = each.value[2]
  role       = "roles/bigquery.dataEditor"
  member     = "serviceAccount:${google_service_account.subscriber[each.key].email}"
}

# Pub/Sub acts as the subscriber's account: an identity token is enough to push, writing a table takes an access token.
# In projects made since April 2021 its agent may do so anyway.
resource "google_service_account_iam_member" "pubsub_agent" {
  for_each = merge(
    { for name in local.kinds.bigquery : name => "roles/iam.serviceAccountTokenCreator" },
    { for name in local.kinds.push : name => "roles/iam.serviceAccountOpenIdTokenCreator" },
  )

  service_account_id = google_service_account.subscriber[each.key].name
  role               = each.value
  member             = local.pubsub_agent

  depends_on = [google_pubsub_subscription.dead_letter]
}
