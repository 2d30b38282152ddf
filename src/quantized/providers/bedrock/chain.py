"""Where AWS users keep credentials, looked through as AWS's own tools do: the environment, profiles with all
that they can name, the container's role, the instance's role. All of it is botocore's."""

import logging

from quantized.providers.bedrock.credentials import AwsCredentials, NoCredentials
from quantized.providers.cleaning import for_log


class BotocoreChain:
    """Blocks, on files and on the network. `profile`: None for what the environment names, or the default.
    `proxy`: the http:// URL through which AWS's token services are reached. `region`: whose token services
    are asked, None for the one that the environment names."""

    def __init__(
        self, profile: str | None = None, proxy: str | None = None, region: str | None = None
    ) -> None:
        self._profile = profile
        self._proxy = proxy
        self._region = region

    def __call__(self) -> AwsCredentials:
        """Looks from the beginning each time, so that what has changed in files or roles is seen.

        Raises NoCredentials.
        """
        try:
            found = self._look()
        except Exception as error:
            # Files, processes and services of others: there is no end to what may be wrong with them.
            raise NoCredentials(f"{type(error).__name__}: {for_log(str(error))}") from error
        if found is None:
            raise NoCredentials("none in the environment, in AWS's files, or of a container or instance role")
        return found

    def _look(self) -> AwsCredentials | None:
        # 0.3 s of imports, for those alone who use this.
        from botocore.config import Config  # type: ignore[import-untyped]  # noqa: PLC0415
        from botocore.session import Session  # type: ignore[import-untyped]  # noqa: PLC0415

        # Below this level it writes tokens and keys.
        logging.getLogger("botocore").setLevel(logging.WARNING)
        session = Session(profile=self._profile)
        if self._region is not None:
            session.set_config_variable("region", self._region)
        if self._proxy is not None:
            session.set_default_client_config(Config(proxies={"http": self._proxy, "https": self._proxy}))
        credentials = session.get_credentials()
        if credentials is None:
            return None
        frozen = credentials.get_frozen_credentials()
        # Not in the public interface; there is no other way to know when to come back.
        expiry = getattr(credentials, "_expiry_time", None)
        return AwsCredentials(
            frozen.access_key,
            frozen.secret_key,
            frozen.token or None,
            None if expiry is None else round(expiry.timestamp() * 1000),
            credentials.method or "",
        )
