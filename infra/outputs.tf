output "dashboard_url" {
  description = "The path of a webhook, as charts."
  value       = "https://console.cloud.google.com/monitoring/dashboards/builder/${basename(google_monitoring_dashboard.path.id)}?project=${var.project_id}"
}

output "next" {
  description = "What to type next."
  value       = <<-EOT
    The secret that Heron signs with, unless the first apply had it (needed before the first webhook is accepted):
      printf %s "$HERON_SHARED_SECRET" | gcloud secrets versions add ${google_secret_manager_secret.heron.secret_id} --project=${var.project_id} --data-file=-

    The address for Heron to send to (one registration for each topic):
      ${google_cloudfunctions2_function.ingest.service_config[0].uri}

    A first signed webhook of your own:
      body='{"topic":"end_user.processed","created":"2026-01-01T00:00:00+00:00","data":{"heron_id":"eus_first","end_user_id":"first","status":"processed"},"meta":null}'
      curl --data-binary "$body" -H 'content-type: application/json' -H "heron-signature: $(printf %s "$body" | openssl dgst -sha256 -hmac "$HERON_SHARED_SECRET" -binary | base64)" ${google_cloudfunctions2_function.ingest.service_config[0].uri}

    Where that end user stands (as one of operators or query_members):
      curl -H "authorization: Bearer $(gcloud auth print-identity-token)" ${google_cloudfunctions2_function.query.service_config[0].uri}/end-users/eus_first
  EOT
}

output "query_url" {
  description = "Where to ask where an end user stands: with an identity token of one of operators or query_members."
  value       = google_cloudfunctions2_function.query.service_config[0].uri
}

output "subscribers" {
  description = "What each subscriber must know."
  value = { for name, subscriber in local.subscribers : name => {
    dead_letters    = google_pubsub_subscription.dead_letter[name].name
    paused          = subscriber.paused
    replay_topic    = google_pubsub_topic.replay[name].name
    service_account = try(google_service_account.subscriber[name].email, null)
    subscriptions   = sort([for key, subscription in local.subscriptions : google_pubsub_subscription.subscriber[key].name if subscription.subscriber == name])
    token_audience  = subscriber.push_audience
    todo = {
      bigquery = "Nothing: Pub/Sub writes ${coalesce(subscriber.bigquery_table, "the table")}."
      pull     = "Pull from the subscriptions, as one of pull_members or service_accounts."
      push     = name == "projector" ? "Nothing: it is set up." : "Let the service account call the service: gcloud run services add-iam-policy-binding SERVICE --region=REGION --role=roles/run.invoker --member=serviceAccount:${try(google_service_account.subscriber[name].email, "")}"
    }[subscriber.kind]
  } }
}

# A plan ends with how outputs change: so it says in words what a removal deletes.
output "waiting" {
  description = "Where events and dead letters wait. What a plan takes out of this list, or changes in it, is deleted with what waits in it (deletion_protection refuses that)."
  value = merge(
    { for key, subscription in local.subscriptions : "${var.prefix}${key}" => subscription.filter == null ? "events, until ${subscription.subscriber} takes them" : "events with ${subscription.filter}, until ${subscription.subscriber} takes them" },
    { for name, topic in google_pubsub_topic.dead_letter : topic.name => "dead letters of ${name}, for 31 days" },
  )
}

output "webhook_url" {
  description = "What to give to Heron."
  value       = google_cloudfunctions2_function.ingest.service_config[0].uri
}
