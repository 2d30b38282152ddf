"""What Alembic runs. `storage.migrate` opens the connection and the transaction around all steps."""

from alembic import context

from quantized.storage.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
