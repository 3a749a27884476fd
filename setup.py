"""What pyproject.toml cannot say: which directories at the top go into the package `app`.

Pages, static files and migrations stand at the top of the repository, for the people who work on
them. A wheel that put them there would take the names `static`, `templates` and `migrations` from
every other package of its environment. app/resources.py finds them in either place.
"""

from setuptools import find_packages, setup

RESOURCES = ("migrations", "static", "templates")

setup(
    packages=[
        *find_packages(include=["app", "app.*", "iterdpo", "iterdpo.*", "worker", "worker.*"]),
        *(f"app.{name}" for name in RESOURCES),
    ],
    package_dir={f"app.{name}": name for name in RESOURCES},
    package_data={
        "app": ["demo_data/**/*", "locale/*.po"],
        **{f"app.{name}": ["**/*"] for name in RESOURCES},
    },
    exclude_package_data={"": ["**/__pycache__/*", "**/*.pyc"]},
    include_package_data=False,
)
