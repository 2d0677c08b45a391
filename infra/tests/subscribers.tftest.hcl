# How services join, as in examples/production.tfvars.
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

# The project's number is known to a plan once reading the project has been switched on, as in every apply but the first.
run "switched_on" {
  variables {
    heron_api_key       = "key_test" # neither is written: "terraform test" applies no ephemeral variable that is left out
    heron_shared_secret = "sec_test"
  }

  plan_options {
    target = [google_project_service.resource_manager]
  }
}

run "production" {
  command = plan

  module {
    source = "./tests/example"
  }

  variables {
    name = "production"
  }
}

run "subscriptions" {
  command = plan

  variables {
    subscribers = run.production.values.subscribers
  }

  assert {
    condition = toset(values(google_pubsub_subscription.subscriber)[*].name) == toset(concat(
      [for topic in concat(jsondecode(file("../functions/heron/topics.json"))[*].topic, ["unrouted", "doctor.canary"]) : "projector.${topic}"],
      [for topic in concat(jsondecode(file("../functions/heron/topics.json"))[*].topic, ["unrouted"]) : "warehouse.${topic}"],
      [for topic in jsondecode(file("../functions/heron/topics.json"))[*].topic : "ledger.${topic}"],
      [for topic in jsondecode(file("../functions/heron/topics.json"))[*].topic : "notifications.${topic}" if startswith(topic, "end_user.")],
      ["underwriting.end_user.processed", "underwriting.end_user.reviewed"],
      ["replay.ledger", "replay.notifications", "replay.projector", "replay.underwriting", "replay.warehouse"],
    ))
    error_message = "each subscriber has a subscription for each of its topics, of a pattern for those that it matches, and one for replays; the projector has all topics and unrouted, and nobody else the doctor's canary"
  }

  assert {
    condition = alltrue([for key, subscription in google_pubsub_subscription.subscriber :
      startswith(key, "replay.") ? subscription.topic == key : subscription.topic == join(".", slice(split(".", key), 1, length(split(".", key))))
    ])
    error_message = "a subscription's name says what it is subscribed to"
  }

  assert {
    condition = alltrue([for key, subscription in google_pubsub_subscription.subscriber : alltrue([
      subscription.dead_letter_policy[0].dead_letter_topic == "projects/my-project/topics/dead-letter.${split(".", trimprefix(key, "replay."))[0]}",
      subscription.dead_letter_policy[0].max_delivery_attempts == jsondecode(file("../functions/bus/delivery.json")).max_delivery_attempts,
      subscription.retry_policy[0].minimum_backoff == "${jsondecode(file("../functions/bus/delivery.json")).minimum_backoff_seconds}s",
      subscription.retry_policy[0].maximum_backoff == "${jsondecode(file("../functions/bus/delivery.json")).maximum_backoff_seconds}s",
      subscription.ack_deadline_seconds == jsondecode(file("../functions/bus/delivery.json")).ack_deadline_seconds,
      subscription.expiration_policy[0].ttl == "",
    ])])
    error_message = "every subscription has its subscriber's dead letters, the back-off and the deadline of delivery.json, and never expires"
  }

  assert {
    condition = alltrue([for subscriber in ["ledger", "notifications", "projector", "underwriting", "warehouse"] : alltrue([
      google_pubsub_topic.dead_letter[subscriber].name == "dead-letter.${subscriber}",
      google_pubsub_topic.replay[subscriber].name == "replay.${subscriber}",
      google_pubsub_subscription.dead_letter[subscriber].name == "dead-letter.${subscriber}",
      google_pubsub_subscription.dead_letter[subscriber].topic == "dead-letter.${subscriber}",
      google_pubsub_subscription.dead_letter[subscriber].expiration_policy[0].ttl == "",
      google_pubsub_subscription.dead_letter[subscriber].message_retention_duration == "2678400s",
      length(google_pubsub_subscription.dead_letter[subscriber].push_config) == 0,
    ])])
    error_message = "dead letters wait 31 days in a pull subscription that never expires"
  }

  assert {
    condition     = alltrue([for subscription in concat(values(google_pubsub_subscription.subscriber), values(google_pubsub_subscription.dead_letter)) : subscription.deletion_policy == "PREVENT"])
    error_message = "what waits is not deleted by the way"
  }

  assert {
    condition = (
      output.waiting["underwriting.end_user.processed"] == "events with attributes.\"ce-status\" = \"processed\", until underwriting takes them" &&
      output.waiting["dead-letter.ledger"] == "dead letters of ledger, for 31 days" &&
      toset(keys(output.waiting)) == toset(concat(values(google_pubsub_subscription.subscriber)[*].name, values(google_pubsub_subscription.dead_letter)[*].name))
    )
    error_message = "a plan that removes or changes a subscription says at its end what is deleted"
  }

  assert {
    condition = (
      toset(values(google_pubsub_topic_iam_member.pubsub_agent)[*].topic) == toset(values(google_pubsub_topic.dead_letter)[*].name) &&
      alltrue([for grant in google_pubsub_topic_iam_member.pubsub_agent : grant.role == "roles/pubsub.publisher" && grant.member == local.pubsub_agent]) &&
      toset(values(google_pubsub_subscription_iam_member.pubsub_agent)[*].subscription) == toset(values(google_pubsub_subscription.subscriber)[*].name) &&
      alltrue([for grant in google_pubsub_subscription_iam_member.pubsub_agent : grant.role == "roles/pubsub.subscriber" && grant.member == local.pubsub_agent])
    )
    error_message = "Pub/Sub's agent may publish every dead letter, and acknowledge what it forwards"
  }

  assert {
    condition = alltrue([for key, subscription in google_pubsub_subscription.subscriber :
      contains(["projector", "underwriting"], split(".", trimprefix(key, "replay."))[0]) == (length(subscription.push_config) == 1) &&
      contains(["warehouse"], split(".", trimprefix(key, "replay."))[0]) == (length(subscription.bigquery_config) == 1)
    ])
    error_message = "each subscription has its subscriber's destination, and none while it is paused"
  }

  assert {
    condition = alltrue([for key, subscription in google_pubsub_subscription.subscriber : alltrue([for push in subscription.push_config : alltrue([
      push.oidc_token[0].service_account_email == "sub-${split(".", trimprefix(key, "replay."))[0]}@my-project.iam.gserviceaccount.com",
      push.oidc_token[0].audience == push.push_endpoint,
    ])])])
    error_message = "every push has an identity token of its subscriber's own account, for its endpoint"
  }

  assert {
    condition     = alltrue([for key, subscription in google_pubsub_subscription.subscriber : subscription.push_config[0].push_endpoint == google_cloudfunctions2_function.projector.service_config[0].uri if strcontains(key, "projector")])
    error_message = "the projector is pushed to at its run.app address, which counts as internal"
  }

  assert {
    condition = alltrue([for key, subscription in google_pubsub_subscription.subscriber :
      alltrue([for push in subscription.push_config : (length(push.no_wrapper) == 1) == !strcontains(key, "projector")])
    ])
    error_message = "a push is a CloudEvent over HTTP, but the projector's is wrapped"
  }

  assert {
    condition     = alltrue([for key, subscription in google_pubsub_subscription.subscriber : (subscription.filter == "attributes.\"ce-status\" = \"processed\"") == startswith(key, "underwriting.")])
    error_message = "a filter is its subscriber's, and what is sent again passes it by"
  }

  assert {
    condition = (
      toset(keys(google_service_account.subscriber)) == toset(["notifications", "projector", "underwriting", "warehouse"]) &&
      { for name, grant in google_service_account_iam_member.pubsub_agent : name => grant.role } == {
        notifications = "roles/iam.serviceAccountOpenIdTokenCreator"
        projector     = "roles/iam.serviceAccountOpenIdTokenCreator"
        underwriting  = "roles/iam.serviceAccountOpenIdTokenCreator"
        warehouse     = "roles/iam.serviceAccountTokenCreator"
      }
    )
    error_message = "each has an account of its own, which Pub/Sub may be and nobody else"
  }

  assert {
    condition = (
      toset([for grant in google_pubsub_subscription_iam_member.puller : "${grant.subscription} ${grant.member} ${grant.role}"]) ==
      toset(flatten([for subscription in google_pubsub_subscription.subscriber : [
        for member in ["serviceAccount:ledger@my-project.iam.gserviceaccount.com", "group:ledger-team@example.com"] : "${subscription.name} ${member} roles/pubsub.subscriber"
      ] if strcontains(subscription.name, "ledger")]))
    )
    error_message = "whoever pulls may pull from its own subscriptions, replays included, and no others"
  }

  assert {
    condition = toset([for grant in google_pubsub_topic_iam_member.discard : "${grant.topic} ${grant.member} ${grant.role}"]) == toset([
      "dead-letter.ledger serviceAccount:ledger@my-project.iam.gserviceaccount.com roles/pubsub.publisher",
      "dead-letter.underwriting serviceAccount:underwriting@my-project.iam.gserviceaccount.com roles/pubsub.publisher",
    ])
    error_message = "a service's own accounts may put what they discard into its own dead letters"
  }

  assert {
    condition = (
      keys(google_bigquery_table_iam_member.subscriber) == ["warehouse"] &&
      google_bigquery_table_iam_member.subscriber["warehouse"].project == "my-project" &&
      google_bigquery_table_iam_member.subscriber["warehouse"].dataset_id == "heron" &&
      google_bigquery_table_iam_member.subscriber["warehouse"].table_id == "events" &&
      google_bigquery_table_iam_member.subscriber["warehouse"].member == "serviceAccount:sub-warehouse@my-project.iam.gserviceaccount.com"
    )
    error_message = "a warehouse's account may write its one table"
  }

  assert {
    condition = { for name, alert in google_monitoring_alert_policy.subscriber : name => [alert.user_labels.reason, alert.conditions[1].condition_threshold[0].threshold_value] } == {
      ledger        = ["theirs", 1800]
      notifications = ["ours", 432000]
      projector     = ["ours", 1800]
      underwriting  = ["theirs", 1800]
      warehouse     = ["ours", 1800]
    }
    error_message = "each has its alert, which knows whose reason it is; a paused one's comes before Pub/Sub lets its events go"
  }

  assert {
    condition = alltrue([for name, alert in google_monitoring_alert_policy.subscriber :
      strcontains(alert.display_name, "(most likely ${alert.user_labels.reason})") && startswith(lower(alert.documentation[0].content), alert.user_labels.reason)
    ])
    error_message = "and says so first"
  }

  assert {
    condition = (
      output.subscribers.underwriting.subscriptions == tolist(["replay.underwriting", "underwriting.end_user.processed", "underwriting.end_user.reviewed"]) &&
      output.subscribers.underwriting.dead_letters == "dead-letter.underwriting" &&
      output.subscribers.underwriting.service_account == "sub-underwriting@my-project.iam.gserviceaccount.com" &&
      strcontains(output.subscribers.underwriting.todo, "--member=serviceAccount:sub-underwriting@my-project.iam.gserviceaccount.com")
    )
    error_message = "a subscriber is told what it must know"
  }
}

run "to_be_removed" {
  command = plan

  variables {
    deletion_protection = false
  }

  assert {
    condition     = alltrue([for subscription in concat(values(google_pubsub_subscription.subscriber), values(google_pubsub_subscription.dead_letter)) : subscription.deletion_policy == "DELETE"])
    error_message = "what waits can be deleted on purpose"
  }
}
