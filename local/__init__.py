"""One machine: demo data, Airflow up and down, the demo itself."""
