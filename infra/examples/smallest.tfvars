# All that is needed.
project_id = "my-project"
