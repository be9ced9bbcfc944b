"""Descriptions of commands in other languages; a missing one is shown in English."""

from __future__ import annotations

TRANSLATIONS: dict[str, dict[str, str]] = {
    "de": {
        "new": "Ein neues Gespräch beginnen; das alte bleibt für den Export.",
        "reset": "Dieses Gespräch endgültig vergessen und neu beginnen.",
        "stop": "Die Antwort abbrechen, die gerade entsteht.",
        "retry": "Die letzte Frage noch einmal beantworten.",
        "undo": "Die letzte Frage und ihre Antwort vergessen.",
        "status": "Zeigen, was ich von diesem Gespräch weiß.",
        "export": "Alles, was ich von diesem Gespräch weiß, als Datei.",
        "leave": "Hier nicht mehr mitreden, bis mich jemand erwähnt.",
        "help": "Die Befehle auflisten.",
        "whoami": "Zeigen, wer du für mich bist und was du darfst.",
        "forget": "Als Antwort auf eine Nachricht: sie vergessen.",
        "start": "Was ich bin, und wie man mit mir spricht.",
    },
    "es": {
        "new": "Empezar otra conversación; la anterior queda para exportarla.",
        "reset": "Olvidar esta conversación para siempre y empezar de nuevo.",
        "stop": "Parar la respuesta que se está escribiendo.",
        "retry": "Responder otra vez a la última pregunta.",
        "undo": "Olvidar la última pregunta y su respuesta.",
        "status": "Mostrar lo que recuerdo de esta conversación.",
        "export": "Todo lo que recuerdo de esta conversación, en un archivo.",
        "leave": "No participar más aquí hasta que alguien me mencione.",
        "help": "Ver los comandos.",
        "whoami": "Mostrar quién eres para mí y qué puedes hacer.",
        "forget": "Como respuesta a un mensaje: olvidarlo.",
        "start": "Qué soy y cómo hablar conmigo.",
    },
    "fr": {
        "new": "Commencer une nouvelle conversation ; l’ancienne reste exportable.",
        "reset": "Oublier cette conversation pour de bon et recommencer.",
        "stop": "Arrêter la réponse en cours.",
        "retry": "Répondre encore une fois à la dernière question.",
        "undo": "Oublier la dernière question et sa réponse.",
        "status": "Montrer ce que je retiens de cette conversation.",
        "export": "Tout ce que je retiens de cette conversation, en fichier.",
        "leave": "Ne plus participer ici avant qu’on me mentionne.",
        "help": "Voir les commandes.",
        "whoami": "Montrer qui vous êtes pour moi et ce que vous pouvez faire.",
        "forget": "En réponse à un message : l’oublier.",
        "start": "Ce que je suis, et comment me parler.",
    },
}
