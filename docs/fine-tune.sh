#!/bin/sh
# From labelled pictures to a gallery of them, with a network that is fine-tuned for their camera:
# fine-tune, convert, enroll, verify. docs/fine-tuning.md explains it.
#
#     docs/fine-tune.sh PEOPLE PROBES WORK [OPTION OF train-triplet]...
#
# PEOPLE holds NAME/*.jpg to learn from and to enroll, PROBES holds NAME/*.jpg to verify, WORK gets
# all output. BASE is the network to start from; facenet is the pinned one.
set -eu
people=$1 probes=$2 work=$3
shift 3
mkdir -p "$work"
gallery=$work/gallery.safetensors model=$work/camera.tflite

train-triplet "${BASE:-facenet}" "$people" -o "$work/camera.keras" "$@"
convert-model "$work/camera.keras" -o "$model" --calibrate "$people" --no-report

for person in "$people"/*/; do
    name=$(basename "$person")
    edgeface enroll "$name" "$person"* --model "$model" --gallery "$gallery"
done

# 0 is yes and 1 is no; both are answers.
for claimed in "$people"/*/; do
    name=$(basename "$claimed")
    for probe in "$probes"/*/*; do
        edgeface verify "$name" "$probe" --model "$model" --gallery "$gallery" || [ $? = 1 ]
    done
done
