"""python -m worker: a worker with the settings of the environment."""

from app.database.postgres import database_url
from app.settings import Settings
from worker.process import main

if __name__ == "__main__":
    settings = Settings()
    with database_url(settings) as url:
        main(settings, url)
