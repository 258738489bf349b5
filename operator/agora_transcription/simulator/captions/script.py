"""What is said in channels that have no audio: a dialogue of few lines, in the languages that are most asked for.

A line's translation is the same line in the other language. Languages that are not here have the English line, marked
with their code, so that nobody takes it for a translation.
"""

from __future__ import annotations

from typing import Final

__all__ = ["LINES", "line", "marked", "pieces"]

LINES: Final = 6
"""How many there are in each language; then the dialogue begins again."""

_SCRIPT: Final = {
    "en": (
        "Good morning, can everybody hear me?",
        "Yes, loud and clear.",
        "Let us begin with the release of this week.",
        "The tests are green, and the notes are written.",
        "Then nothing keeps us from shipping it today.",
        "Wonderful, thank you all.",
    ),
    "de": (
        "Guten Morgen, können mich alle hören?",
        "Ja, laut und deutlich.",
        "Fangen wir mit dem Release dieser Woche an.",
        "Die Tests sind grün, und die Notizen sind geschrieben.",
        "Dann hält uns nichts davon ab, es heute auszuliefern.",
        "Wunderbar, danke euch allen.",
    ),
    "es": (
        "Buenos días, ¿me oyen todos?",
        "Sí, alto y claro.",
        "Empecemos con la versión de esta semana.",
        "Las pruebas están en verde y las notas están escritas.",
        "Entonces nada nos impide publicarla hoy.",
        "Estupendo, gracias a todos.",
    ),
    "fr": (
        "Bonjour, est-ce que tout le monde m'entend ?",
        "Oui, cinq sur cinq.",
        "Commençons par la version de cette semaine.",
        "Les tests sont au vert et les notes sont rédigées.",
        "Alors rien ne nous empêche de la publier aujourd'hui.",
        "Parfait, merci à tous.",
    ),
    "it": (
        "Buongiorno, mi sentite tutti?",
        "Sì, forte e chiaro.",
        "Cominciamo con la versione di questa settimana.",
        "I test sono verdi e le note sono scritte.",
        "Allora niente ci impedisce di pubblicarla oggi.",
        "Benissimo, grazie a tutti.",
    ),
    "pt": (
        "Bom dia, todos me ouvem?",
        "Sim, alto e claro.",
        "Vamos começar com a versão desta semana.",
        "Os testes estão verdes e as notas estão escritas.",
        "Então nada nos impede de publicá-la hoje.",
        "Ótimo, obrigado a todos.",
    ),
    "ru": (
        "Доброе утро, меня всем слышно?",
        "Да, громко и ясно.",
        "Начнём с релиза этой недели.",
        "Тесты зелёные, заметки написаны.",
        "Тогда ничто не мешает выпустить его сегодня.",
        "Прекрасно, спасибо всем.",
    ),
    "ar": (
        "صباح الخير، هل يسمعني الجميع؟",
        "نعم، بصوت عال وواضح.",
        "لنبدأ بإصدار هذا الأسبوع.",
        "الاختبارات ناجحة والملاحظات مكتوبة.",
        "إذن لا شيء يمنعنا من إطلاقه اليوم.",
        "رائع، شكرا لكم جميعا.",
    ),
    "hi": (
        "सुप्रभात, क्या सब मुझे सुन सकते हैं?",
        "हाँ, बिल्कुल साफ़।",
        "इस हफ़्ते की रिलीज़ से शुरू करते हैं।",
        "सारे टेस्ट पास हैं, और नोट्स लिखे जा चुके हैं।",
        "तो आज इसे जारी करने से हमें कुछ नहीं रोकता।",
        "बहुत बढ़िया, सबका धन्यवाद।",
    ),
    "ja": (
        "おはようございます、皆さん聞こえますか。",
        "はい、よく聞こえます。",
        "今週のリリースから始めましょう。",
        "テストは全部通り、リリースノートも書けました。",
        "では、今日出荷できますね。",
        "素晴らしい、皆さんありがとう。",
    ),
    "ko": (
        "안녕하세요, 모두 제 말이 들리시나요?",
        "네, 아주 잘 들립니다.",
        "이번 주 릴리스부터 시작합시다.",
        "테스트는 모두 통과했고 노트도 작성했습니다.",
        "그럼 오늘 배포하지 못할 이유가 없네요.",
        "훌륭합니다, 모두 감사합니다.",
    ),
    "zh": (
        "早上好，大家都听得到吗？",
        "听得到，很清楚。",
        "我们从这周的发布开始吧。",
        "测试全部通过，说明也写好了。",
        "那今天就可以发布了。",
        "太好了，谢谢大家。",
    ),
    "yue": (
        "早晨，大家聽唔聽到？",
        "聽到，好清楚。",
        "我哋由今個禮拜嘅發佈開始啦。",
        "測試全部過晒，說明都寫好喇。",
        "咁今日就可以推出喇。",
        "好嘢，多謝大家。",
    ),
}

_ALIASES: Final = {"cmn": "zh", "zh-HK": "yue"}
_UNSPACED: Final = frozenset({"ja", "zh", "yue"})
_PIECE: Final = 2
"""Characters that stand for a word where there are no blanks."""


def line(number: int, language: str) -> str:
    """A line of the dialogue.

    Args:
        number: Counts on without end.
        language: One of Agora's codes.
    """
    own = _SCRIPT.get(_known(language))
    english = _SCRIPT["en"][number % LINES]
    return own[number % LINES] if own else marked(english, language)


def marked(text: str, language: str) -> str:
    """Stands for a translation that nobody here can make."""
    return f"[{language}] {text}"


def pieces(text: str, language: str) -> list[str]:
    """Split a text into words that make it up again one after the other."""
    if _known(language) in _UNSPACED:
        return [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    first, *rest = text.split(" ")
    return [first, *(f" {word}" for word in rest)]


def _known(language: str) -> str:
    primary = language.partition("-")[0]
    return _ALIASES.get(language) or _ALIASES.get(primary, primary)
