# The promises about the path itself: who may do what, what is public, what fits.
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

run "ingest" {
  command = plan

  assert {
    condition     = google_cloud_run_service_iam_member.ingest_public["allUsers"].service == "ingest" && google_cloud_run_service_iam_member.ingest_public["allUsers"].role == "roles/run.invoker"
    error_message = "Heron, who has no Google account, may call ingest"
  }

  assert {
    condition     = !contains(concat([google_cloud_run_service_iam_member.projector_push.member], values(google_cloud_run_service_iam_member.query)[*].member), "allUsers")
    error_message = "nobody else lets everyone in"
  }

  assert {
    condition = (
      google_cloudfunctions2_function.ingest.service_config[0].ingress_settings == "ALLOW_ALL" &&
      google_cloudfunctions2_function.projector.service_config[0].ingress_settings == "ALLOW_INTERNAL_ONLY" &&
      google_cloudfunctions2_function.query.service_config[0].ingress_settings == "ALLOW_ALL"
    )
    error_message = "ingest is reachable by anyone, projector from inside the project only, query from anywhere"
  }

  assert {
    condition     = google_cloudfunctions2_function.ingest.service_config[0].min_instance_count >= 1
    error_message = "a webhook never waits for a cold start of ingest"
  }

  assert {
    condition     = tonumber(trimsuffix(google_cloudfunctions2_function.ingest.service_config[0].available_memory, "Mi")) >= 256 + 4 * 10 * google_cloudfunctions2_function.ingest.service_config[0].max_instance_request_concurrency
    error_message = "10 MB bodies at full concurrency, each four times over, fit in ingest's memory"
  }

  assert {
    condition     = google_cloudfunctions2_function.ingest.service_config[0].timeout_seconds == 10
    error_message = "a request that Heron has given up is given up"
  }

  assert {
    condition     = tonumber(google_cloudfunctions2_function.ingest.service_config[0].available_cpu) >= 1
    error_message = "Cloud Run wants a whole CPU for more than one request at a time"
  }

  assert {
    condition     = google_cloudfunctions2_function.projector.service_config[0].timeout_seconds == jsondecode(file("../functions/bus/delivery.json")).ack_deadline_seconds
    error_message = "the projector may take as long as a push waits for it"
  }
}

run "functions" {
  command = plan

  assert {
    condition = alltrue([for function in [google_cloudfunctions2_function.ingest, google_cloudfunctions2_function.projector, google_cloudfunctions2_function.query] : alltrue([
      function.build_config[0].runtime == "nodejs24",
      function.build_config[0].service_account == google_service_account.build.id,
      function.build_config[0].docker_repository == google_artifact_registry_repository.functions.id,
      function.build_config[0].source[0].storage_source[0].object == google_storage_bucket_object.source.name,
      function.service_config[0].environment_variables.NODE_ENV == "production",
      function.service_config[0].environment_variables.GOOGLE_CLOUD_PROJECT == "my-project",
    ])])
    error_message = "every function runs on Node 24, is built as an account of its own from the one archive into our own repository, and runs in production mode"
  }

  assert {
    condition = [
      for function in [google_cloudfunctions2_function.ingest, google_cloudfunctions2_function.projector, google_cloudfunctions2_function.query] :
      [function.build_config[0].entry_point, function.service_config[0].service_account_email]
    ] == [["ingest", "fn-ingest@my-project.iam.gserviceaccount.com"], ["projector", "fn-projector@my-project.iam.gserviceaccount.com"], ["query", "fn-query@my-project.iam.gserviceaccount.com"]]
    error_message = "each function has its target and its own service account"
  }

  assert {
    condition = (
      sort(keys(google_cloudfunctions2_function.ingest.service_config[0].environment_variables)) == tolist(["GOOGLE_CLOUD_PROJECT", "HERON_SHARED_SECRET_FILE", "LOG_SAMPLING", "NODE_COMPILE_CACHE", "NODE_ENV", "NODE_OPTIONS", "TOPIC_PREFIX"]) &&
      sort(keys(google_cloudfunctions2_function.projector.service_config[0].environment_variables)) == tolist(["FIRESTORE_DATABASE", "GOOGLE_CLOUD_PROJECT", "LOG_SAMPLING", "NODE_COMPILE_CACHE", "NODE_ENV", "NODE_OPTIONS", "TOPIC_PREFIX"]) &&
      sort(keys(google_cloudfunctions2_function.query.service_config[0].environment_variables)) == tolist(["FIRESTORE_DATABASE", "GOOGLE_CLOUD_PROJECT", "NODE_COMPILE_CACHE", "NODE_ENV"])
    )
    error_message = "each function gets the environment it reads, and no more"
  }

  assert {
    condition = (
      google_artifact_registry_repository.functions.repository_id == "heron-functions" &&
      google_artifact_registry_repository.functions.format == "DOCKER" &&
      google_artifact_registry_repository.functions.location == "us-east1" &&
      { for policy in google_artifact_registry_repository.functions.cleanup_policies : policy.action => join(" ", concat([for one in policy.most_recent_versions : tostring(one.keep_count)], policy.condition[*].older_than)) } == {
        KEEP   = "10"
        DELETE = "2592000s"
      }
    )
    error_message = "images older than 30 days go, and the newest ten of each function stay"
  }

  assert {
    condition     = strcontains(google_storage_bucket_object.source.name, data.archive_file.source.output_sha256)
    error_message = "the archive's name has its hash: the same name would not be deployed again"
  }

  assert {
    condition = (
      alltrue([for file in ["package.json", "package-lock.json", "functions/heron/topics.json"] : contains(local.source_files, file)]) &&
      alltrue([for file in local.source_files : startswith(file, "functions/") || startswith(file, "package")])
    )
    error_message = "the archive has package.json, its lock and functions/, and nothing else"
  }

  assert {
    condition     = google_storage_bucket.source.public_access_prevention == "enforced" && google_storage_bucket.source.uniform_bucket_level_access
    error_message = "the source is not public"
  }
}

run "least_rights" {
  command = plan

  variables {
    operators     = ["group:operators@example.com"]
    query_members = ["serviceAccount:asker@example.com"]
  }

  assert {
    condition     = toset(values(google_pubsub_topic_iam_member.ingest)[*].topic) == toset(values(google_pubsub_topic.event)[*].name) && alltrue([for grant in google_pubsub_topic_iam_member.ingest : grant.member == "serviceAccount:fn-ingest@my-project.iam.gserviceaccount.com" && grant.role == "roles/pubsub.publisher"])
    error_message = "ingest may publish to Heron's topics, unrouted and the doctor's canary"
  }

  assert {
    condition     = google_secret_manager_secret_iam_member.ingest.member == "serviceAccount:fn-ingest@my-project.iam.gserviceaccount.com" && google_secret_manager_secret_iam_member.ingest.role == "roles/secretmanager.secretAccessor"
    error_message = "ingest may read the secret"
  }

  assert {
    condition     = alltrue([for grant in google_secret_manager_secret_iam_member.operator : grant.member == "group:operators@example.com"])
    error_message = "besides ingest only operators may touch the secret"
  }

  assert {
    condition     = google_pubsub_topic_iam_member.projector_dead_letter.topic == "dead-letter.projector" && google_pubsub_topic_iam_member.projector_dead_letter.member == "serviceAccount:fn-projector@my-project.iam.gserviceaccount.com"
    error_message = "the projector may publish its own dead letters"
  }

  assert {
    condition     = google_cloud_run_service_iam_member.projector_push.service == "projector" && google_cloud_run_service_iam_member.projector_push.member == "serviceAccount:sub-projector@my-project.iam.gserviceaccount.com"
    error_message = "only the projector's own subscriptions may call it"
  }

  assert {
    condition     = toset(values(google_cloud_run_service_iam_member.query)[*].member) == toset(["group:operators@example.com", "serviceAccount:asker@example.com"])
    error_message = "query is for operators and query_members"
  }

  # Every grant on the project itself. Whoever adds one adds it here, with a reason.
  assert {
    condition = toset([for grant in concat(
      [google_project_iam_member.build_source, google_project_iam_member.projector_store, google_project_iam_member.query_store],
      values(google_project_iam_member.build), values(google_project_iam_member.operator_bus), values(google_project_iam_member.operator_store),
      ) : join(" ", [grant.member, grant.role, length(grant.condition)])]) == toset([
      "group:operators@example.com roles/datastore.user 1",                                         # Firestore has no IAM below the project: a condition names the database
      "group:operators@example.com roles/pubsub.viewer 1",                                          # subscriptions can be listed in the whole project only: erasure looks into every dead-letter subscription
      "serviceAccount:fn-build@my-project.iam.gserviceaccount.com roles/artifactregistry.writer 0", # Artifact Registry knows no conditions; see build_repository_granted
      "serviceAccount:fn-build@my-project.iam.gserviceaccount.com roles/logging.logWriter 0",       # logs have no IAM of their own
      "serviceAccount:fn-build@my-project.iam.gserviceaccount.com roles/storage.objectViewer 1",    # of the two buckets with the source
      "serviceAccount:fn-projector@my-project.iam.gserviceaccount.com roles/datastore.user 1",      # as operators
      "serviceAccount:fn-query@my-project.iam.gserviceaccount.com roles/datastore.viewer 1",        # the same, reading
    ])
    error_message = "no account holds a role on the project outside this list"
  }

  assert {
    condition = alltrue([for grant in concat([google_project_iam_member.projector_store, google_project_iam_member.query_store], values(google_project_iam_member.operator_store)) :
    grant.condition[0].expression == "resource.name == \"projects/my-project/databases/(default)\""])
    error_message = "rights to Firestore are rights to the one database"
  }

  assert {
    condition     = strcontains(google_project_iam_member.build_source.condition[0].expression, "buckets/my-project-heron-source/") && strcontains(google_project_iam_member.build_source.condition[0].expression, "buckets/gcf-v2-sources-123456789012-us-east1/")
    error_message = "builds read the source and no other bucket"
  }

  assert {
    condition = (
      toset([for grant in google_pubsub_subscription_iam_member.operator : "${grant.subscription} ${grant.member}"]) == toset(["dead-letter.projector group:operators@example.com"]) &&
      toset([for grant in google_pubsub_topic_iam_member.operator : "${grant.topic} ${grant.member}"]) == toset(["replay.projector group:operators@example.com"])
    )
    error_message = "operators read dead letters and send them again"
  }
}

run "builds_write_one_repository" {
  command = plan

  variables {
    build_repository_granted = true
  }

  assert {
    condition     = keys(google_project_iam_member.build) == ["roles/logging.logWriter"]
    error_message = "where the build account has its right on the repository, it has none on others"
  }
}

run "closed" {
  command = plan

  variables {
    ingest_public               = false
    ingest_behind_load_balancer = true
  }

  assert {
    condition     = length(google_cloud_run_service_iam_member.ingest_public) == 0
    error_message = "allUsers is an option"
  }

  assert {
    condition     = google_cloudfunctions2_function.ingest.service_config[0].ingress_settings == "ALLOW_INTERNAL_AND_GCLB"
    error_message = "behind a load balancer ingest's own address is closed"
  }
}
