"""The datasite's durable state: tables, migrations, and the small functions that read and write rows."""
