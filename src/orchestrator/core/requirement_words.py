"""The words by which requirements are read without a model: verbs, technologies, risks, and what makes work large.

Only words, as regular expressions without regard to case; core/requirements.py says what follows from them.
"""

import re
from collections.abc import Mapping, Sequence

# A piece of work begins with one of these. Those that only look are told apart: their task changes nothing.
_LOOKING = """
analyse analyze assess audit check compare count estimate evaluate examine explain explore find figure inspect
investigate list look measure profile research review study summarise summarize understand verify
"""
_DOING = """
add adapt adjust allow apply archive assign attach automate back backup build bump bundle cache change clean clear
collect compress configure connect convert copy correct cover create debug delete deploy design disable display
document download draft drop dry enable encrypt enforce export expose extend extract fetch filter fix format generate
give group handle harden hash hide implement import improve include increase index init initialise initialize inline
install integrate introduce invent join kill let link load localise localize lock log lower make mask merge migrate
mock modernise modernize monitor move normalise normalize notify optimise optimize organise organize package paginate
parallelise parallelize parse patch persist pin polish port prepare prevent print protect prototype provide publish
pull push put queue quote raise read rebuild record redesign reduce refactor refresh register reject release remove
rename render reorder repair replace report reproduce reset resolve restore restrict restructure retry return revert
rewrite rework rotate run sanitise sanitize save scaffold schedule search secure seed send serialise serialize serve
set setup ship show sign simplify skip sort speed split start stop store stream style support swap switch sync tag
test throttle tidy track train transform translate trim turn undo unify update upgrade upload use validate wire wrap
write zip
accept backfill block calculate cancel combine compute count cut define detect edit embed emit erase expire flag
gather ignore launch limit map mark match offer open pause post preview promote prune purge reconcile reconnect
redirect remind repeat reuse resize route scale scan select shorten shrink shut solve stabilise stabilize strip submit
subscribe substitute suppress tell tighten toggle trace trigger truncate tune unblock unlock unsubscribe warn watch wipe
"""
# These are things as often as acts: behind "and" they begin something new only where a thing follows.
_THINGS = """
" audit back backup block build bump cache change check copy count cover cut design display document download draft
drop edit export filter flag format group increase index list lock log look map mark measure mock monitor order
package patch pause pin port post preview print profile prototype public push queue quote record release repair report
research retry review route scale scan schedule search ship sign sort speed split store stream style support switch
sync tag test track trace transform trim turn tune update upgrade upload watch work wrap zip
"""
_MAKING = "add build create define design draft generate implement make prepare provide set write"
LOOKING, DOING, MAKING = frozenset(_LOOKING.split()), frozenset(_DOING.split()), frozenset(_MAKING.split())
VERBS = LOOKING | DOING
THINGS = frozenset(_THINGS.split())

_T = {
    "python": r"python|\.pyi?\b",
    "javascript": r"javascript|\.m?jsx?\b(?!on)",
    "typescript": r"typescript|\.tsx?\b",
    "react": r"react(?:\.js)?(?! to\b)|\.jsx\b",
    "vue": r"vue(?:\.js)?|\.vue\b",
    "angular": r"angular",
    "svelte": r"svelte",
    "node": r"node(?:\.js|js| \d+)",
    "nextjs": r"next\.js",
    "express": r"express(?:\.js)",
    "django": r"django",
    "flask": r"flask",
    "fastapi": r"fastapi",
    "rails": r"rails",
    "ruby": r"ruby|\.rb\b",
    "php": r"php|laravel|\.php\b",
    "java": r"java|\.java\b",
    "spring": r"spring boot",
    "kotlin": r"kotlin|\.kt\b",
    "swift": r"swift(?:ui)?|\.swift\b",
    "go": r"(?:in|to|with|of) go|golang|go (?:service|code|module|client|server)|\.go\b",
    "rust": r"rust|\.rs\b",
    "c": r"in c\b(?![+#])|\.[ch]\b",
    "cpp": r"c\+\+|\.(?:cpp|cc|hpp)\b",
    "csharp": r"c#|dotnet|\.cs\b",
    "shell": r"bash|shell script|\.sh\b",
    "rest": r"rest(?:ful)?(?= (?:api|endpoint|service|interface)s?)|restful",
    "graphql": r"graphql",
    "grpc": r"grpc|\.proto\b",
    "websocket": r"web ?sockets?",
    "oauth": r"oauth2?|openid",
    "jwt": r"jwts?|json web tokens?",
    "sql": r"sql(?: quer(?:y|ies))?|\.sql\b",
    "postgresql": r"postgres(?:ql)?",
    "mysql": r"mysql|mariadb",
    "sqlite": r"sqlite",
    "mongodb": r"mongo(?:db)?",
    "redis": r"redis",
    "elasticsearch": r"elastic ?search|opensearch",
    "kafka": r"kafka",
    "rabbitmq": r"rabbitmq",
    "celery": r"celery",
    "docker": r"docker(?:file)?|docker[- ]compose|compose file",
    "kubernetes": r"kubernetes|k8s|helm",
    "terraform": r"terraform|\.tf\b",
    "ansible": r"ansible",
    "github-actions": r"github (?:actions?|workflows?)",
    "gitlab-ci": r"gitlab[- ]ci",
    "jenkins": r"jenkins",
    "aws": r"aws|s3|lambda function|dynamodb|ec2",
    "azure": r"azure",
    "gcp": r"gcp|google cloud|bigquery",
    "nginx": r"nginx",
    "prometheus": r"prometheus",
    "grafana": r"grafana",
    "stripe": r"stripe",
    "tailwind": r"tailwind",
    "html": r"html|\.html?\b",
    "css": r"css|sass|\.s?css\b",
    "markdown": r"markdown|\.md\b",
    "yaml": r"yaml|\.ya?ml\b",
    "json": r"json(?! web)|\.json\b",
    "xml": r"xml",
    "csv": r"csv",
    "pdf": r"pdfs?",
    "pytest": r"pytest",
    "jest": r"jest",
    "cypress": r"cypress",
    "playwright": r"playwright",
    "selenium": r"selenium",
    "android": r"android",
    "ios": r"ios",
    "electron": r"electron",
    "llm": r"llms?|language models?",
    "pandas": r"pandas",
    "pytorch": r"pytorch",
}


def _tech(words: str) -> re.Pattern[str]:
    """A name stands as a word of its own, the ending of a file behind its name."""
    parts = words.split("|\\.")
    names = "" if parts[0].startswith("\\.") else rf"(?<!\w)(?:{parts[0]})(?!\w)"
    endings = [part.removeprefix("\\.") for part in parts[0 if not names else 1 :]]
    found = [names] * bool(names) + [rf"(?<=\w)\.{ending}" for ending in endings]
    return re.compile("|".join(found), re.IGNORECASE)


TECHNOLOGIES: Mapping[str, re.Pattern[str]] = {name: _tech(words) for name, words in _T.items()}


def _any(*words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(words)})", re.IGNORECASE)


# What may go wrong, by what is named.
RISKS: Mapping[str, re.Pattern[str]] = {
    "security": _any(
        r"auth(?:entication|orization|enticate|orize)?\b|log-?ins?\b|sign-?(?:in|up)\b|passwords?\b|tokens?\b",
        r"secrets?\b|encrypt\w*|oauth2?\b|jwts?\b|permissions?\b|credentials?\b|signatures?\b|payments?\b|billing\b",
        r"csrf\b|xss\b|injection\b|certificates?\b|gdpr\b|personal data\b|access control\b|api keys?\b",
    ),
    "data": _any(
        r"migrat(?:e|es|ing|ion)\b|delet(?:e|es|ing)\b|truncate\b|purge\b|wipe\b|schema\b|overwrit\w+|restore\b",
        r"drop(?:ping)? (?:[\w]+ ){0,4}(?:table|column|database|index)\b",
        r"(?:create|alter|change) (?:the|a|an) [\w ]{0,30}table\b",
    ),
    "compatibility": _any(
        r"upgrad\w+|break(?:s|ing)?\b|backwards?[- ]compat\w+|deprecat\w+|major version\b",
        r"public (?:interface|functions?|methods?|signature)|renam\w+ the (?:endpoint|field|column|route)",
    ),
    "production": _any(
        r"production\b|prod\b|live (?:site|system|database|server|traffic)|customers?'? data\b|outage\b"
    ),
    "external": _any(
        r"stripe\b|paypal\b|twilio\b|sendgrid\b|mailgun\b|third[- ]part(?:y|ies)\b|google maps\b|openai\b",
        r"external (?:api|service|system)s?\b|slack\b|salesforce\b",
    ),
    "performance": _any(
        r"slow(?:er|ly)?\b|fast(?:er)?\b|speed(?:s|ing)? up\b|performance\b|memory\b|latency\b|cach(?:e|es|ing)\b",
        r"rate limit\w*|throughput\b|benchmark\w*|load test\w*|scal(?:e|es|ing|able)\b|millions? of\b",
    ),
}

# What makes work large or small, each with its weight.
WEIGHTS: Sequence[tuple[int, re.Pattern[str]]] = (
    (2, _any(r"migrat(?:e|es|ing|ion)\b", r"rewrit\w+", r"redesign\w*", r"re-?architect\w*")),
    (2, _any(r"integrat(?:e|es|ing|ion)\b", r"port (?:the|our|it)\b", r"distributed\b", r"multi-?tenan\w+")),
    (2, _any(r"(?:whole|entire) (?:\w+ )?(?:system|app\w*|code ?base|project|service|site|module)")),
    (2, _any(r"micro-?services?\b", r"real-?time\b", r"end-to-end encrypt\w*")),
    (1, _any(r"encrypt\w*", r"concurren\w+", r"transactions?\b", r"web ?sockets?\b", r"payments?\b")),
    (1, _any(r"auth(?:entication|orization)?\b", r"oauth2?\b", r"permissions?\b", r"passwords?\b", r"secrets?\b")),
    (1, _any(r"schema\b", r"kubernetes\b", r"terraform\b", r"upgrad\w+")),
    (1, _any(r"break(?:s|ing)?\b")),
    (-2, _any(r"typos?\b", r"spelling\b", r"misspel\w+", r"copyright\b", r"bump\b", r"wording\b")),
    (-2, _any(r"rename (?:the |a )?(?:variable|function|constant|parameter|file|label|button)\b")),
    (-2, _any(r"change the (?:colou?r|label|text)\b", r"(?:fix|add|update) (?:a|the) comment\b")),
)

# What nobody can begin with in earnest.
VAGUE = re.compile(
    r"\b(?:somehow|etc\b\.?|and so on|and the like|tbd|tba|maybe|perhaps|whatever|or something|something like|"
    r"some kind of|if possible|as needed|as appropriate|appropriate(?:ly)?|better|nicer|prettier|cleaner|more modern|"
    r"user[- ]friendly|as usual|stuff|and more|various)\b|\?\?\?",
    re.IGNORECASE,
)
