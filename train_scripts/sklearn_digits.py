"""Recognise handwritten digits with a support vector machine of scikit-learn: at least 0.95 right.

With the launcher:  python -m launcher framework=sklearn args.regularization=0.2
By hand:            python sklearn_digits.py --data-folder DIGITS --regularization 0.2
Needs:              scikit-learn>=1.0 (tried: 1.9.1)

The model goes to outputs/model.joblib.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import joblib
import mnist_data
from metrics import log_metric
from sklearn.svm import SVC

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data-folder", required=True, help="folder with the four idx files")
parser.add_argument("--regularization", type=float, default=0.2, help="above 0; more is simpler")
args = parser.parse_args()

train_images, train_labels = mnist_data.load(args.data_folder, "train")
test_images, test_labels = mnist_data.load(args.data_folder, "test")

model = SVC(C=1.0 / args.regularization)
model.fit(train_images, train_labels)
log_metric("accuracy", model.score(train_images, train_labels))
log_metric("test_accuracy", model.score(test_images, test_labels))

Path("outputs").mkdir(exist_ok=True)
joblib.dump(model, "outputs/model.joblib")
