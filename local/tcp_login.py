"""A login for analysts' tools on the embedded server: by TCP on loopback, and it may only read."""

import secrets

from local import embedded_postgres
from local.private_file import kept_privately
from tasks.errors import BadInput
from tasks.settings import Settings
from tasks.stores.database import statement, transaction

PORT = 5433
# Whoever comes by TCP is the reader, with a password: any user of this machine can reach loopback.
ACCESS = "local all all trust\nhost recommendations reader 127.0.0.1/32 scram-sha-256\n"


def open_tcp(settings: Settings, port: int = PORT) -> str:
    """The URL by which the role `reader` reads the embedded server, which from now on listens on loopback as well.

    Its password is kept in the file reader_password of the state folder. Raises BadInput where DATABASE_URL names
    another server and for a port that is taken, NotReady where the server does not start.
    """
    if settings.database_url is not None:
        raise BadInput(
            "--tcp opens the embedded server, but DATABASE_URL names another: tools reach that one as it is "
            "(docs/connect.md); leave out one of the two"
        )
    ready = embedded_postgres.with_database(settings)
    password = kept_privately(settings.state_folder / "reader_password", lambda: secrets.token_urlsafe(18))
    with transaction(ready) as connection:
        connection.execute(statement("make_reader"), {"password": password})
    embedded_postgres.listen(settings.state_folder, ACCESS, port)
    return f"postgresql://reader:{password}@127.0.0.1:{port}/recommendations"
